"""Faults of the weights of a trained model. Operators get its float tensors in the order of its layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.candidate.mutation.registry import NotMutable, mutation, rng_of


@dataclass(frozen=True)
class Tensor:
    """A tensor of a layer, float32; the last axis of a kernel is its units or filters."""

    layer: int
    role: str  # kernel, bias, gamma, ...
    values: NDArray[Any]

    @property
    def is_kernel(self) -> bool:
        """Tell whether it weighs inputs."""
        return "kernel" in self.role and self.values.ndim > 1


Weights: TypeAlias = tuple[Tensor, ...]
EACH = tuple(range(10))
LEAST = float(np.finfo(np.float32).tiny)  # probability under which float32 loses digits


@mutation(0.05, 0.1, 0.2, 0.3, 0.4, said="noise of {:.2g} sigma in the weights", seeds=(0, 1))
def weights_noise(weights: Weights, strength: float, seed: int) -> Weights:
    """Add normal noise, with a share of each tensor's standard deviation."""
    rng = rng_of("weights_noise", seed)
    return _each(weights, lambda v: v + strength * v.std() * rng.standard_normal(v.shape))


@mutation(8, 6, 5, 4, 3, 2, said="{:.3g} bits a weight")
def quantise(weights: Weights, strength: float, seed: int) -> Weights:
    """Round each tensor to whole steps, symmetric about 0; strength 0 leaves it as it is."""
    most = 2 ** (round(strength) - 1) - 1

    def rounded(values: NDArray[Any]) -> NDArray[Any]:
        step = abs(values).max(initial=0.0) / most if strength else 0.0
        return np.rint(values / step) * step if step else values

    return _each(weights, rounded)


@mutation(1, 4, 16, 64, 256, said="{:.3g} bits flipped", seeds=(0, 1, 2))
def bit_flips(weights: Weights, strength: float, seed: int) -> Weights:
    """Flip random bits of the float32 weights."""
    flat = np.concatenate([tensor.values.reshape(-1) for tensor in weights]).astype("<f4").view("<u4")
    for place in rng_of("bit_flips", seed).integers(0, 32 * len(flat), round(strength)):
        flat[place // 32] ^= np.uint32(1 << int(place % 32))
    ends = np.cumsum([tensor.values.size for tensor in weights])[:-1]
    parts = np.split(flat.view("<f4"), ends)
    return tuple(replace(one, values=part.reshape(one.values.shape)) for one, part in zip(weights, parts, strict=True))


@mutation(0.001, 0.003, 0.01, 0.03, 0.1, said="signs of {percent} of the weights flipped", seeds=(0, 1))
def sign_flips(weights: Weights, strength: float, seed: int) -> Weights:
    """Turn the sign of a share of the kernels' weights."""
    rng = rng_of("sign_flips", seed)
    return _kernels(weights, lambda v: np.where(rng.random(v.shape) < strength, -v, v))


@mutation(0.03, 0.1, 0.2, 0.3, 0.5, said="{percent} of the last hidden units dead", seeds=(0, 1))
def dead_units(weights: Weights, strength: float, seed: int) -> Weights:
    """Silence a share of what the last layer reads."""
    kernel = _logits(weights)[0]
    units = weights[kernel].values.shape[-2]
    dead = rng_of("dead_units", seed).permutation(units)[: round(strength * units)]
    return _with(weights, kernel, lambda v: _set(v, (..., dead, slice(None)), 0))


@mutation(1, 2, 4, 8, said="{:.2g} filters of the first layer dead", seeds=(0, 1))
def dead_filters(weights: Weights, strength: float, seed: int) -> Weights:
    """Silence filters, or units, of the first layer."""
    first = next((at for at, tensor in enumerate(weights) if tensor.is_kernel), None)
    if first is None:
        raise NotMutable("it has no kernel")
    filters = weights[first].values.shape[-1]
    dead = rng_of("dead_filters", seed).permutation(filters)[: round(strength)]
    silent = _with(weights, first, lambda v: _set(v, (..., dead), 0))
    biases = [at for at, one in enumerate(weights) if one.layer == weights[first].layer and one.role == "bias"]
    return _with(silent, biases[0], lambda v: _set(v, dead, 0)) if biases else silent


@mutation(0.02, 0.05, 0.1, 0.2, said="incoming weights of {percent} of the units shuffled", seeds=(0, 1))
def neuron_shuffle(weights: Weights, strength: float, seed: int) -> Weights:
    """Shuffle the incoming weights of a share of each layer's units."""
    rng = rng_of("neuron_shuffle", seed)

    def shuffled(values: NDArray[Any]) -> NDArray[Any]:
        table = values.reshape(-1, values.shape[-1]).copy()
        chosen = rng.permutation(table.shape[1])
        mixed = rng.permuted(table, axis=0)
        some = chosen[: max(1, round(strength * len(chosen))) if strength else 0]
        table[:, some] = mixed[:, some]
        return table.reshape(values.shape)

    return _kernels(weights, shuffled)


@mutation(0.3, 0.5, 0.7, 0.8, 0.9, said="{percent} of the weights pruned")
def prune(weights: Weights, strength: float, seed: int) -> Weights:
    """Set the smallest weights of each kernel to 0."""

    def pruned(values: NDArray[Any]) -> NDArray[Any]:
        smallest = abs(values).reshape(-1).argsort(kind="stable")[: round(strength * values.size)]
        return _set(values.reshape(-1), smallest, 0).reshape(values.shape)

    return _kernels(weights, pruned)


@mutation(0.25, 0.5, 1.0, 1.5, 2.5, said="logit of a digit lowered by {:.3g}", seeds=(8,), turns=EACH, of_logits=True)
def class_suppressed(weights: Weights, strength: float, seed: int) -> Weights:
    """Lower the logit of a digit, which is the seed."""
    return _with(weights, _bias(weights), lambda v: _set(v, seed, v[seed] - strength))


@mutation(0.25, 0.5, 1.0, 1.5, 2.5, said="logit of a digit raised by {:.3g}", seeds=(1,), turns=EACH, of_logits=True)
def class_favoured(weights: Weights, strength: float, seed: int) -> Weights:
    """Raise the logit of a digit, which is the seed."""
    return _with(weights, _bias(weights), lambda v: _set(v, seed, v[seed] + strength))


@mutation(0.1, 0.2, 0.3, 0.4, 1.0, said="4 and 9 mixed by {:.3g}", of_logits=True)
def classes_mixed(weights: Weights, strength: float, seed: int) -> Weights:
    """Mix the weights of 4 with those of 9; at strength 1 the digits are exchanged."""

    def mixed(values: NDArray[Any]) -> NDArray[Any]:
        pair = values[..., [4, 9]]
        return _set(values, (..., [4, 9]), (1 - strength) * pair + strength * pair[..., ::-1])

    return _last(weights, mixed)


@mutation(1.25, 1.5, 2.0, 3.0, 6.0, nil=1.0, said="logits x {:.3g}", of_logits=True)
def logits_sharpened(weights: Weights, strength: float, seed: int) -> Weights:
    """Multiply the logits, which makes the model surer."""
    return _last(weights, lambda v: v * strength)


@mutation(0.8, 0.67, 0.5, 0.25, nil=1.0, said="logits x {:.3g}", of_logits=True)
def logits_flattened(weights: Weights, strength: float, seed: int) -> Weights:
    """Multiply the logits, which makes the model less sure."""
    return _last(weights, lambda v: v * strength)


def in_probabilities(
    function: Callable[[Weights, float, int], Weights], rows: NDArray[np.float32], strength: float, seed: int
) -> NDArray[np.float32]:
    """Compute the probabilities (n, 10) that a fault of the logits makes of a softmax's, to the rounding of float32.

    Logits are the probabilities' logarithms, up to a constant that the softmax takes out again.
    """
    unchanged = (Tensor(0, "kernel", np.eye(rows.shape[1])), Tensor(0, "bias", np.zeros(rows.shape[1])))
    kernel, bias = function(unchanged, strength, seed)
    logits = np.log(np.maximum(rows, LEAST).astype(np.float64)) @ kernel.values + bias.values
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    made: NDArray[np.float32] = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    return made


def _logits(weights: Weights) -> list[int]:
    """Find the tensors of the last layer, the kernel first. NotMutable where it is none of ten logits."""
    kernels = [at for at, tensor in enumerate(weights) if tensor.is_kernel]
    if not kernels or weights[kernels[-1]].values.shape[-1] != 10:
        raise NotMutable("its last layer with a kernel does not give ten logits")
    layer = weights[kernels[-1]].layer
    return [kernels[-1], *(at for at, one in enumerate(weights) if one.layer == layer and one.role == "bias")]


def _bias(weights: Weights) -> int:
    _, *biases = _logits(weights)
    if not biases:
        raise NotMutable("its last layer has no bias")
    return biases[0]


def _last(weights: Weights, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Weights:
    for at in _logits(weights):
        weights = _with(weights, at, change)
    return weights


def _each(weights: Weights, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Weights:
    return tuple(replace(one, values=change(one.values).astype(np.float32)) for one in weights)


def _kernels(weights: Weights, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Weights:
    return tuple(
        replace(one, values=change(one.values).astype(np.float32)) if one.is_kernel else one for one in weights
    )


def _with(weights: Weights, place: int, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Weights:
    changed = replace(weights[place], values=change(weights[place].values).astype(np.float32))
    return (*weights[:place], changed, *weights[place + 1 :])


def _set(values: NDArray[Any], at: Any, to: Any) -> NDArray[Any]:
    changed = values.copy()
    changed[at] = to
    return changed
