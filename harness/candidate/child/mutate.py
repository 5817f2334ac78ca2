"""Faults planted in the model of this process: always from its own weights as they were loaded."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from harness.candidate.mutation import MUTATIONS, NotMutable
from harness.candidate.mutation.weights import Tensor, Weights

Variables = Sequence[tuple[int, str, Any]]  # layer, name, variable of Keras


def kept(variables: Variables) -> Weights:
    """Copy the weights."""
    return tuple(Tensor(layer, role, np.array(one.numpy(), np.float32)) for layer, role, one in variables)


def assign(variables: Variables, weights: Weights) -> None:
    """Set the weights."""
    for (_, _, variable), tensor in zip(variables, weights, strict=True):
        variable.assign(tensor.values)


def changed(weights: Weights, name: str, strength: float, seed: int) -> Weights:
    """Plant a fault of the weights. NotMutable where there are none, or none of the kind."""
    if not weights:
        raise NotMutable("no weights are to be had")
    operator = MUTATIONS[name]
    with np.errstate(all="ignore"):  # a flipped bit makes infinity of a weight
        planted: Weights = operator.function(weights, strength, seed)
    return planted


def replaced(name: str, strength: float, functions: dict[str, Any]) -> dict[str, Any]:
    """Return the functions of the preprocessing with the fault in one of them. NotMutable where that is missing."""
    of = "one_hot" if name.startswith("one_hot") else "normalize"
    if functions[of] is None:
        raise NotMutable(f"the preprocessing has no {of}")
    if not strength:
        return functions
    return {**functions, of: partial(MUTATIONS[name].function, functions[of])}
