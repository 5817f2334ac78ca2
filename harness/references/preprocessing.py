"""The reference preprocessing: what the reference models were trained with, and the default for a candidate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.formatting import one_line
from harness.records import CLASSES, SIDE, Images

_WHITE = np.float32(255)


def normalize(images: Images) -> NDArray[np.float32]:
    """Ink 0..255 as float32 in 0..1: exactly ``x / 255``, divided in float32. Images of shape (n, 28, 28), n may be 0.

    The input is not changed. Anything but uint8 is a TypeError, so that a second application does not go unnoticed;
    another shape is a ValueError.
    """
    given: Any = images
    if not isinstance(given, np.ndarray) or given.dtype != np.uint8:
        raise TypeError(f"images={_kind(given)} must be a uint8 array, 0..255; were they normalised before?")
    if given.ndim != 3 or given.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"images of shape {given.shape} must have shape (n, {SIDE}, {SIDE})")
    return given.astype(np.float32) / _WHITE


def one_hot(labels: Any) -> NDArray[np.float32]:
    """Labels (n,), integers 0..9, as rows of shape (n, 10) with a single 1; n may be 0.

    Tests hold it equal to ``keras.utils.to_categorical(labels, 10)``, which however lets -1 and 2.7 through. Here
    labels of another shape or outside 0..9 are a ValueError, and labels that are no integers a TypeError.
    """
    given = np.asarray(labels)
    if given.ndim != 1:
        raise ValueError(f"labels of shape {given.shape} must have shape (n,)")
    if given.size == 0:
        return np.zeros((0, CLASSES), np.float32)
    if given.dtype.kind not in "iu":
        fractional = given[given != np.trunc(given)] if given.dtype.kind == "f" else given[:0]
        shown = one_line(repr([*fractional.tolist(), given.tolist()[0]][0]), 40)
        raise TypeError(f"label {shown} of type {given.dtype} is no integer; labels are integers 0..{CLASSES - 1}")
    outside = given[(given < 0) | (given >= CLASSES)]
    if outside.size:
        raise ValueError(f"label {outside[0]} is outside 0..{CLASSES - 1}")
    rows = np.zeros((given.size, CLASSES), np.float32)
    rows[np.arange(given.size), given] = 1
    return rows


def _kind(given: Any) -> str:
    return f"array of {given.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
