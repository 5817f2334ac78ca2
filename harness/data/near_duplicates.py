"""Test digits that are nearly training digits: the same picture after a scan, a rescaling, a little noise.

Near is within the distance of one pixel of full ink in all (root of the sum of squares over 784 pixels). Comparing all
pairs of MNIST takes a minute; but averages over 4 x 4 pixels, scaled by 4, are never further apart than the pictures,
nor are projections of them, nor lengths of what a projection leaves out, so that only pairs that are near there are
compared more finely. None is missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.records import SIDE, Images

MAX_DISTANCE = 255.0
_ROUNDING = 1.0  # for rounding, in the same unit
_AXES = 16
_BLOCK_PAIRS = 2_000  # pairs
_BLOCK_DISTANCES = 8_000_000  # distances at a time
_BLOCK_IMAGES = 64  # test images at a time
_MAX_ALIKE_SHARE = 0.03  # of the pairs; among the most alike of MNIST's digits, ones, 0.016 are
_ALWAYS_COMPARED = 100_000  # pairs, compared in any case

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class NearDuplicates:
    """Test images and the training image nearest to each, the nearest pairs first; equal pictures are among them."""

    test: NDArray[np.intp]
    train: NDArray[np.intp]
    distance: NDArray[np.float64]  # in pixels of full ink


def near_duplicates(test: Images, train: Images) -> NearDuplicates:
    """Find every test image with a training image within ``NEAR``.

    NotMeasurable where so many are alike (all but blank, say) that comparing them would take minutes.
    """
    blocks = [(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0))]
    if len(test) and len(train):
        blocks += [_nearest(test, train, left, right) for left, right in _candidates(test, train)]
    left, right, distance = (np.concatenate(part) for part in zip(*blocks, strict=True))
    best = np.argsort(distance, kind="stable")
    return NearDuplicates(left[best], right[best], distance[best] / MAX_DISTANCE)


def _nearest(
    test: Images, train: Images, left: NDArray[np.intp], right: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Keep of these pairs those within ``NEAR``, of each test image the nearest."""
    distance = np.zeros(len(left))
    for size, reach in ((2, MAX_DISTANCE + _ROUNDING), (1, MAX_DISTANCE)):
        (mine, ours), (others, theirs) = (np.unique(rows, return_inverse=True) for rows in (left, right))
        distance = _apart(_averages(test[mine], size), _averages(train[others], size), ours, theirs)
        close = distance <= reach
        left, right, distance = left[close], right[close], distance[close]
    order = np.lexsort((right, distance, left))
    _, first = np.unique(left[order], return_index=True)
    best = order[first]
    return left[best], right[best], distance[best]


def _candidates(test: Images, train: Images) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield pairs that are near in averages, some test images at a time; at least one pair each time.

    Looked for on the principal axes and in the length of what these leave out, in the order of the first axis, so
    that each is compared only with those within reach there.
    """
    ours, theirs = _averages(test, 4), _averages(train, 4)
    middle = theirs.mean(axis=0)
    axes = np.linalg.eigh((theirs - middle).T @ (theirs - middle))[1][:, ::-1][:, :_AXES]
    (mine, places), (others, beside) = (_in_order(_shortened(rows - middle, axes)) for rows in (ours, theirs))
    squares = np.einsum("ij,ij->i", beside, beside)
    right_side = np.ascontiguousarray(np.column_stack([beside, squares, np.ones_like(squares)]).T)
    some = min(max(_BLOCK_DISTANCES // len(theirs), 1), _BLOCK_IMAGES)
    for start in range(0, len(ours), some):
        block = places[start : start + some]
        reach = block[0, 0] - MAX_DISTANCE - _ROUNDING, block[-1, 0] + MAX_DISTANCE + _ROUNDING
        first, last = np.searchsorted(beside[:, 0], reach)
        squares = np.einsum("ij,ij->i", block, block)
        apart = np.column_stack([-2 * block, np.ones_like(squares), squares]) @ right_side[:, first:last]
        left, right = np.divmod(np.flatnonzero(apart <= (MAX_DISTANCE + _ROUNDING) ** 2), last - first)
        if len(left) > max(_ALWAYS_COMPARED, _MAX_ALIKE_SHARE * len(block) * len(theirs)):
            raise NotMeasurable(f"{len(left):,} pairs of {len(block)} test and the training images look alike")
        left, right = mine[start + left], others[first + right]
        close = _apart(ours, theirs, left, right) <= MAX_DISTANCE + _ROUNDING
        if close.any():
            yield left[close], right[close]


def _in_order(rows: Rows) -> tuple[NDArray[np.intp], Rows]:
    """Sort rows by their first column; returns the order, too."""
    order = rows[:, 0].argsort(kind="stable")
    return order, rows[order]


def _shortened(rows: Rows, axes: Rows) -> Rows:
    """Project to (n, axes + 1): distances never grow, as lengths differ by no more than the vectors do."""
    along = rows @ axes
    rest = np.einsum("ij,ij->i", rows, rows) - np.einsum("ij,ij->i", along, along)
    return np.column_stack([along, np.sqrt(np.maximum(rest, 0))])


def _averages(images: Images, size: int) -> Rows:
    """Average (n, (28 / size)^2) squares of size x size pixels, times size: an orthonormal projection."""
    down = images[:, ::size].astype(np.uint16)
    for part in range(1, size):
        down += images[:, part::size]
    whole = down[:, :, ::size].copy()
    for part in range(1, size):
        whole += down[:, :, part::size]
    averages: Rows = whole.reshape(len(images), (SIDE // size) ** 2).astype(np.float32) / np.float32(size)
    return averages


def _apart(ours: Rows, theirs: Rows, left: NDArray[np.intp], right: NDArray[np.intp]) -> NDArray[np.float64]:
    """Compute the (pairs,) distances of rows, a block of pairs at a time."""
    blocks = [np.zeros(0)]
    for start in range(0, len(left), _BLOCK_PAIRS):
        step = slice(start, start + _BLOCK_PAIRS)
        difference = ours[left[step]] - theirs[right[step]]
        blocks.append(np.sqrt(np.einsum("ij,ij->i", difference, difference, dtype=np.float64)))
    return np.concatenate(blocks)
