"""White-box attacks in the worker: images moved, a little at a time, up the slope away from the model's own answer.

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

WHITE = 255.0
REACH = 2.5  # all steps together go so many times epsilon, as Madry et al. take
BATCH = 500  # images whose slopes are held at a time
_TINY = 1e-30


class NoGradients(Exception):
    """The model's answer does not say how it depends on the image."""


def attacked(ask: Callable[[Any], Any], images: Pixels, norm: Norm, epsilon: float, steps: int) -> Pixels:
    """``images`` (n, ...) uint8 in the model's own shape, each moved by at most ``epsilon`` grey levels in ``norm``."""
    parts = [
        _moved(ask, images[at : at + BATCH], norm, epsilon, steps) for at in range(0, len(images), BATCH)
    ]  # fmt: skip
    return np.concatenate(parts) if parts else images.copy()


def _moved(ask: Callable[[Any], Any], images: Pixels, norm: Norm, epsilon: float, steps: int) -> Pixels:
    start = images.astype(np.float32)
    at, own = start.copy(), np.asarray(ask(start / np.float32(WHITE))).argmax(axis=1)
    length = epsilon if steps == 1 else REACH * epsilon / steps
    for _ in range(steps):
        slope = _slope(ask, at / np.float32(WHITE), own)
        if norm == "linf":
            at += np.float32(length) * np.sign(slope)
            at = at.clip(start - np.float32(epsilon), start + np.float32(epsilon))
        else:
            at += np.float32(length) * slope / np.maximum(_norm(slope), _TINY)
            away = at - start
            at = start + away * np.minimum(1, epsilon / np.maximum(_norm(away), _TINY)).astype(np.float32)
        at = at.clip(0, np.float32(WHITE))
    levels: Pixels = (start + np.trunc(at - start)).astype(np.uint8)
    return levels


def _slope(ask: Callable[[Any], Any], pixels: Pixels, own: Pixels) -> Pixels:
    """Of the largest other answer's log-probability over the model's own; 0 where it is no number."""
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
    found: Pixels = np.nan_to_num(slope.numpy(), nan=0.0, posinf=0.0, neginf=0.0)
    return found


def _norm(values: Pixels) -> Pixels:
    """Euclidean length of each image, shaped to be multiplied with it."""
    axes = tuple(range(1, values.ndim))
    lengths: Pixels = np.sqrt((values.astype(np.float64) ** 2).sum(axis=axes, keepdims=True))
    return lengths
