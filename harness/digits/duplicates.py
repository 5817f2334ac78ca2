"""Test digits that are nearly training digits: the same picture after a scan, a rescaling, a little noise.

Near is within the distance of one pixel of full ink in all (root of the sum of squares over 784 pixels). Comparing all
pairs of MNIST takes a minute; but averages over 4 x 4 pixels, scaled by 4, are never further apart than the pictures,
nor are projections of them, so that only pairs that are near there are compared pixel by pixel. None is missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.records import SIDE, Images

NEAR = 255.0
_SLACK = 1.0  # for rounding, in the same unit
_AXES = 8
_BLOCK = 2_000  # pairs

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Twins:
    """Pairs, the nearest first; equal pictures are among them."""

    test: NDArray[np.intp]
    train: NDArray[np.intp]
    distance: NDArray[np.float64]  # in pixels of full ink


def near(test: Images, train: Images) -> Twins:
    """Every pair of a test and a training image within ``NEAR``."""
    from scipy.spatial import cKDTree

    if not len(test) or not len(train):
        return Twins(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0))
    ours, theirs = _averages(test, 4), _averages(train, 4)
    axes = np.linalg.eigh(np.cov(theirs.T))[1][:, ::-1][:, :_AXES].astype(np.float32)
    close = cKDTree(theirs @ axes).query_ball_point(ours @ axes, NEAR + _SLACK)
    left = np.repeat(np.arange(len(test)), [len(some) for some in close])
    right = np.fromiter(chain.from_iterable(close), np.intp, len(left))
    held = _apart(ours, theirs, left, right) <= NEAR + _SLACK
    left, right = left[held], right[held]
    held = _apart(test, train, left, right, 2) <= NEAR + _SLACK
    left, right = left[held], right[held]
    distance = _apart(test, train, left, right, 1)
    best = np.argsort(distance, kind="stable")
    best = best[distance[best] <= NEAR]
    return Twins(left[best], right[best], distance[best] / NEAR)


def _averages(images: Images, size: int) -> Rows:
    """(n, (28 / size)^2): means over size x size pixels, times size: an orthonormal projection."""
    n, side = len(images), SIDE // size
    parts = images.reshape(n, side, size, SIDE).sum(axis=2, dtype=np.uint16).reshape(n, side, side, size)
    averages: Rows = parts.sum(axis=3, dtype=np.float32).reshape(n, side * side) / np.float32(size)
    return averages


def _apart(
    ours: NDArray[Any], theirs: NDArray[Any], left: NDArray[np.intp], right: NDArray[np.intp], size: int | None = None
) -> NDArray[np.float64]:
    """The distance of each pair of rows, or of each pair of images after averaging over size x size pixels."""
    blocks = [np.zeros(0)]
    for start in range(0, len(left), _BLOCK):
        step = slice(start, start + _BLOCK)
        one, other = ours[left[step]], theirs[right[step]]
        difference = one - other if size is None else _averages(one, size) - _averages(other, size)
        blocks.append(np.sqrt(np.einsum("ij,ij->i", difference, difference, dtype=np.float64)))
    return np.concatenate(blocks)
