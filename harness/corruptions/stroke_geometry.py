"""The stroke of a magnified digit: how thick it is, where its middle runs, how far and which way its edges are."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.randomness import Indices, Rng, once
from harness.corruptions.upsampled import LARGE, SCALE, Bits, magnified, near_paper
from harness.records import SIDE, Images

Floats: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]  # (n, 2), a row and a column
Halves: TypeAlias = NDArray[np.uint64]  # (n, 56), a row of half pixels in a word

THICKEST = 20  # magnified pixels from the middle of a stroke to its edge that are looked at
_NEAR = 8  # of these, where most strokes end
MARGIN = THICKEST + 6  # rows of paper above and below a magnified digit, so that all around a place of it is there
HALF_SIDE = 2 * SIDE
_HALF_ROW = np.uint64((1 << HALF_SIDE) - 1)  # the bits in use of a row of half pixels
_HELD = 48  # batches of at most 250 images, 3 KB an image: 10,000 images are kept, of more none would be met again
_SOME = 25  # every so many images are what a batch is looked up by
_AROUND = 4  # half pixels around a place that say which way the stroke runs there
_CENTRE = 31  # the bit of a word that holds the column in question

_held: dict[int, Anatomy] = {}  # by a few of the images, of which another batch may have the same
_guard = threading.Lock()


class Anatomy:
    """What the changes of a batch start from, whatever their severity; each part made when it is first asked for."""

    def __init__(self, images: Images) -> None:
        self._images = images.copy()

    def is_of(self, images: Images) -> bool:
        return np.array_equal(self._images, images)

    @cached_property
    def bits(self) -> Bits:
        return magnified(self._images)

    @cached_property
    def thickness(self) -> Floats:
        return _thickness(self.bits)

    @cached_property
    def middles(self) -> Halves:
        return _middles(_half_pixels(self.bits))


def anatomy(images: Images) -> Anatomy:
    """The anatomy of these very images, made once for all changes and severities while among the last ``_HELD``."""
    name = hash(images[::_SOME].tobytes())
    with _guard:
        found = _held.pop(name, None)
        if found is None or not found.is_of(images):
            found = Anatomy(images)
        _held[name] = found
        if len(_held) > _HELD:
            del _held[next(iter(_held))]
    return found


def _thickness(bits: Bits) -> Floats:
    """Mean thickness in pixels. Fitted to twice the mean distance from the skeleton to the edge (off by 0.12)."""
    area = np.bitwise_count(bits).sum(axis=(1, 2), dtype=np.int64)
    thickness: Floats = 0.882 * area / np.maximum(near_paper(bits, 2), 1) + 0.0946
    return np.minimum(thickness, SIDE / 2)  # a page of ink is no stroke


def _half_pixels(bits: Bits) -> Halves:
    """Those of which at least two of four magnified pixels are ink."""
    words = np.ascontiguousarray(bits.reshape(-1, 4).T)  # left and right of the upper row, then of the lower
    upper, lower = words[:2], words[2:]
    most = upper | lower
    most &= most >> np.uint64(1)
    upper &= lower
    most |= upper
    upper >>= np.uint64(1)
    most |= upper
    most &= np.uint64(0x5555555555555555)
    for step in (1, 2, 4, 8, 16):  # every other bit, side by side
        most |= most >> np.uint64(step)
        most &= np.uint64(every(2 * step))
    halves: Halves = most[0] | (most[1] << np.uint64(32))
    return halves.reshape(len(bits), HALF_SIDE)


def every(run: int) -> int:
    """A word in which ``run`` bits that are set and ``run`` that are not take turns."""
    return sum(((1 << run) - 1) << start for start in range(0, 64, 2 * run))


def framed(rows: NDArray[np.uint64], margin: int) -> NDArray[np.uint64]:
    """With ``margin`` rows of paper above and below."""
    wide = np.zeros((len(rows), rows.shape[1] + 2 * margin, *rows.shape[2:]), dtype=np.uint64)
    wide[:, margin:-margin] = rows
    return wide


def _middles(inked: Halves) -> Halves:
    """Those on the stroke's middle; all of a blank image.

    What opening by a diamond loses at every step of erosion (Lantuejoul 1980).
    """
    one, ink = np.uint64(1), framed(inked, 1)
    left = ink.reshape(-1)  # the frames keep the rows of one image from those of the next
    middle, less, lost, moved = np.zeros((4, len(left)), dtype=np.uint64)
    while left.any():
        np.left_shift(left, one, out=less)
        less &= left
        np.right_shift(left, one, out=moved)
        less &= moved
        less[1:] &= left[:-1]
        less[:-1] &= left[1:]
        np.left_shift(less, one, out=lost)
        lost |= less
        np.right_shift(less, one, out=moved)
        lost |= moved
        lost[1:] |= less[:-1]
        lost[:-1] |= less[1:]
        lost &= left
        lost ^= left
        middle |= lost
        left, less = less, left
    middles = middle.reshape(ink.shape)[:, 1:-1].copy()
    middles[~middles.any(axis=1)] = _HALF_ROW
    return middles


def drawn_from(halves: Halves, rng: Rng, times: int = 1) -> tuple[Places, Places]:
    """Half pixels of each image, all equally likely, and which of their four magnified pixels: 0 or 1 each.

    ``(times n, 2)``: one of every image, then another of every image.
    """
    n = len(halves)
    rows = np.bitwise_count(halves).cumsum(axis=1, dtype=np.int64)
    word = rng.words(times).T
    wanted = (word >> np.uint64(32)).astype(np.int64) * rows[:, -1] >> 32
    row = (rows <= wanted[..., None]).sum(axis=2).reshape(-1)
    word, wanted, image = word.reshape(-1), wanted.reshape(-1), np.tile(np.arange(n), times)
    line = halves[image, row]
    left = wanted - rows[image, row] + np.bitwise_count(line)
    octets = line.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)
    passed = np.unpackbits(octets, axis=1, bitorder="little").cumsum(axis=1, dtype=np.uint8)
    column = (passed <= left[:, None]).sum(axis=1)
    quarter = np.stack([word >> np.uint64(1), word], axis=1) & np.uint64(1)
    return np.stack([row, column], axis=1), quarter.astype(np.int64)


def to_the_edge(whole: Bits, image: Indices, centre: Places) -> Floats:
    """Magnified pixels from each centre to the nearest paper, at most ``THICKEST``; ``whole`` has a margin of paper."""
    distance = _within(_NEAR, whole, image, centre)
    far = np.flatnonzero(distance > _NEAR)
    distance[far] = _within(THICKEST, whole, image[far], centre[far])
    return np.minimum(distance, THICKEST)


def _within(reach: int, whole: Bits, image: Indices, centre: Places) -> Floats:
    """The distance, where it is at most ``reach``."""
    down = np.arange(-reach, reach + 1)
    near = whole[image[:, None], centre[:, :1] + MARGIN + down]
    to_right, to_left, beyond, back = shifts(centre[:, 1])
    paper = (near[:, :, 0] << to_left) >> to_right
    paper |= (near[:, :, 1] << beyond) >> back
    np.invert(paper, out=paper)
    right = paper >> np.uint64(_CENTRE)
    right = np.bitwise_count((right & (~right + np.uint64(1))) - np.uint64(1))
    left = ((paper << np.uint64(1)) & np.uint64(0xFFFFFFFF)) | np.uint64(1)
    left = 1023 + _CENTRE + 1 - (left.astype(np.float64).view(np.int64) >> 52)  # its highest bit, from its exponent
    sideways = np.minimum(right, left)
    distance: Floats = np.sqrt((sideways * sideways + down * down).min(axis=1))
    return distance


def shifts(column: NDArray[np.int64]) -> tuple[NDArray[np.uint64], ...]:
    """``(n, 1)`` each: from a row's left word rightwards and leftwards, from its right word leftwards and rightwards.

    What is shifted by 64 or more is gone.
    """
    start = (column - _CENTRE)[:, None]
    return tuple(part.clip(0).astype(np.uint64) for part in (start, -start, 64 - start, start - 64))


def across(middles: Halves, image: Indices, centre: Places) -> Floats:
    """``(n, 2)``: unit vector (down, right) straight across the stroke, from how its middle spreads near ``centre``."""
    count, first, second = _moments()
    steps = np.arange(-_AROUND, _AROUND + 1)
    rows = framed(middles, _AROUND)
    near = rows[image[:, None], centre[:, :1] + steps + _AROUND]
    near = ((near << np.uint64(_AROUND)) >> centre[:, 1:].astype(np.uint64)) & np.uint64(len(count) - 1)
    pixels, right, square = (table[near.astype(np.intp)] for table in (count, first, second))
    n, x, y = pixels.sum(axis=1), right.sum(axis=1), pixels @ steps
    wide = n * square.sum(axis=1) - x * x
    tall = n * (pixels @ (steps * steps)) - y * y
    mixed = n * (right @ steps) - x * y
    difference = (wide - tall).astype(np.float64)
    twice = difference / np.maximum(np.sqrt(difference * difference + 4.0 * mixed * mixed), 1)
    along_x, along_y = np.sqrt((1 + twice) / 2), np.where(mixed < 0, -1, 1) * np.sqrt((1 - twice) / 2)
    return np.stack([along_x, -along_y], axis=1)


@once
def _moments() -> tuple[Places, Places, Places]:
    """Of every row of ``2 _AROUND + 1`` half pixels: how many are set, the sum of their places and of the squares."""
    steps = np.arange(-_AROUND, _AROUND + 1)
    pixels = (np.arange(1 << len(steps))[:, None] >> np.arange(len(steps))) & 1
    return pixels.sum(axis=1), pixels @ steps, pixels @ (steps * steps)


def radii(thickness: Floats, amount: float) -> NDArray[np.int64]:
    """Magnified pixels that are ``amount`` of half the thickness."""
    return np.minimum(np.floor(amount * SCALE * thickness / 2), LARGE // 8).astype(np.int64)
