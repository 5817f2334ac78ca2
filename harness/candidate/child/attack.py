"""White-box attacks in the worker: gradient steps that move each image away from the model's own prediction.

FGSM after Goodfellow et al. 2015, PGD after Madry et al. 2018, without a random start, so that equal images are moved
alike. The slope is that of the margin in log-probabilities, which does not vanish where a softmax is saturated. Ink
comes back in whole grey levels, rounded towards the image it was, so that no image leaves its ball.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[Any]
Norm: TypeAlias = Literal["linf", "l2"]

FULL_INK = 255.0
PATH_LENGTH = 2.5  # all steps together go so many times epsilon, as Madry et al. take
BATCH = 500  # images whose slopes are held at a time
_TINY = 1e-30


class NoGradients(Exception):
    """Raised where the model's output cannot be differentiated with respect to the image."""


def attacked(ask: Callable[[Any], Any], images: Pixels, norm: Norm, epsilon: float, steps: int) -> Pixels:
    """Move ``images`` (n, ...) uint8 in the model's own shape by at most ``epsilon`` grey levels each, in ``norm``."""
    parts = [
        _moved(ask, images[start : start + BATCH], norm, epsilon, steps) for start in range(0, len(images), BATCH)
    ]  # fmt: skip
    return np.concatenate(parts) if parts else images.copy()


def _moved(ask: Callable[[Any], Any], images: Pixels, norm: Norm, epsilon: float, steps: int) -> Pixels:
    start = images.astype(np.float32)
    moved, own = start.copy(), np.asarray(ask(start / np.float32(FULL_INK))).argmax(axis=1)
    length = epsilon if steps == 1 else PATH_LENGTH * epsilon / steps
    for _ in range(steps):
        slope = _slope(ask, moved / np.float32(FULL_INK), own)
        if norm == "linf":
            moved += np.float32(length) * np.sign(slope)
            moved = moved.clip(start - np.float32(epsilon), start + np.float32(epsilon))
        else:
            moved += np.float32(length) * slope / np.maximum(_norm(slope), _TINY)
            away = moved - start
            moved = start + away * np.minimum(1, epsilon / np.maximum(_norm(away), _TINY)).astype(np.float32)
        moved = moved.clip(0, np.float32(FULL_INK))
    levels: Pixels = (start + np.trunc(moved - start)).astype(np.uint8)
    return levels


def _slope(ask: Callable[[Any], Any], pixels: Pixels, own: Pixels) -> Pixels:
    """Differentiate the largest other class's log-probability over the model's own; 0 where it is no number."""
    import tensorflow as tf

    given = tf.convert_to_tensor(pixels)
    with tf.GradientTape() as tape:
        tape.watch(given)
        logs = tf.math.log(tf.maximum(ask(given), _TINY))
        mine = tf.one_hot(own, logs.shape[-1], on_value=True, off_value=False)
        other = tf.reduce_max(tf.where(mine, -np.inf, logs), axis=1)
        margin = tf.reduce_sum(other - tf.reduce_max(tf.where(mine, logs, -np.inf), axis=1))
    try:
        slope = tape.gradient(margin, given)
    except (LookupError, ValueError) as error:
        raise NoGradients(f"its gradients cannot be computed: {error}") from error
    if slope is None:
        raise NoGradients("its answers have no gradient with respect to the image")
    finite_slope: Pixels = np.nan_to_num(slope.numpy(), nan=0.0, posinf=0.0, neginf=0.0)
    return finite_slope


def _norm(values: Pixels) -> Pixels:
    """Compute the Euclidean length of each image, shaped to be multiplied with it."""
    axes = tuple(range(1, values.ndim))
    lengths: Pixels = np.sqrt((values.astype(np.float64) ** 2).sum(axis=axes, keepdims=True))
    return lengths
