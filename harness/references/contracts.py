"""The shipped kinds of preprocessing beside the reference: what models are fed with that were not trained on 0..1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from harness.records import Images, InputContract, InputKind
from harness.references.preprocessing import normalize, one_hot

__all__ = ["affine", "normalizer", "one_hot"]

Pixels = NDArray[np.generic]


def affine(kind: InputKind, mean: float | None = None, std: float | None = None) -> tuple[float, float] | None:
    """Return scale and offset of a kind's map from grey levels; None where it is no such map."""
    return InputContract.of(kind, mean, std).affine


def normalizer(
    kind: InputKind, mean: float | None = None, std: float | None = None, dtype: DTypeLike = "float32"
) -> Callable[[Images], Pixels]:
    """Return the function of a kind: images (n, 28, 28) uint8 to pixels of ``dtype``; it refuses anything else.

    The input is not changed. A value is the exact one, rounded once.
    """
    map_of_levels = affine(kind, mean, std)
    if map_of_levels is None:
        return _over_column_lengths
    scale, offset = map_of_levels
    values = (np.arange(256) * scale + offset).astype(dtype)

    def normalized(images: Images) -> Pixels:
        normalize(images[:0])  # its refusals
        return values[images]

    return normalized


def _over_column_lengths(images: Images) -> Pixels:
    """Divide each column of pixels by its Euclidean length, as ``tf.keras.utils.normalize(images, axis=1)`` does."""
    normalize(images[:0])
    lengths = np.linalg.norm(images, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    pixels: Pixels = (images / lengths).astype(np.float32)
    return pixels
