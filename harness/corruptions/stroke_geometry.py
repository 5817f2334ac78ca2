"""The stroke of an upsampled digit: its thickness, its middle line, the distance and direction of its edges."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.randomness import Indices, Rng, once
from harness.corruptions.upsampled import LARGE, SCALE, Bits, near_paper, upsampled
from harness.records import SIDE, Images

Floats: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]  # (n, 2), a row and a column
Halves: TypeAlias = NDArray[np.uint64]  # (n, 56), a row of half pixels in a word

THICKEST = 20  # upsampled pixels from the middle of a stroke to its edge that are looked at
_USUAL_HALF_WIDTH = 8  # of these, where most strokes end
MARGIN = THICKEST + 6  # rows of paper above and below an upsampled digit, so that all around a place of it is there
HALF_SIDE = 2 * SIDE
_HALF_ROW = np.uint64((1 << HALF_SIDE) - 1)  # the bits in use of a row of half pixels
_CACHED_BATCHES = 48  # batches of at most 250 images, 3 KB an image: that is 10,000 images
_KEY_STRIDE = 25  # a batch is looked up by every 25th image
_NEIGHBOURHOOD = 4  # half pixels around a place that say which way the stroke runs there
_CENTRE = 31  # the bit of a word that holds the column in question

_cache: dict[int, StrokeGeometry] = {}  # by a few of the images, of which another batch may have the same
_guard = threading.Lock()


class StrokeGeometry:
    """The geometry that all changes of a batch start from, at any severity; each part is made when first needed."""

    def __init__(self, images: Images) -> None:
        self._images = images.copy()

    def is_of(self, images: Images) -> bool:
        """Tell whether this is the geometry of these very images."""
        return np.array_equal(self._images, images)

    @cached_property
    def bits(self) -> Bits:
        """Return the upsampled digits, a bit a pixel."""
        return upsampled(self._images)

    @cached_property
    def thickness(self) -> Floats:
        """Return the mean thickness of each stroke in pixels, (n,)."""
        return _thickness(self.bits)

    @cached_property
    def middles(self) -> Halves:
        """Return the half pixels on the middle of each stroke."""
        return _middles(_half_pixels(self.bits))


def stroke_geometry(images: Images) -> StrokeGeometry:
    """Return the geometry of these images, made once for all changes and severities while among the last ``_HELD``."""
    name = hash(images[::_KEY_STRIDE].tobytes())
    with _guard:
        geometry = _cache.pop(name, None)
        if geometry is None or not geometry.is_of(images):
            geometry = StrokeGeometry(images)
        _cache[name] = geometry
        if len(_cache) > _CACHED_BATCHES:
            del _cache[next(iter(_cache))]
    return geometry


def _thickness(bits: Bits) -> Floats:
    """Estimate the mean thickness in pixels, fitted to twice the mean distance from skeleton to edge (off by 0.12)."""
    area = np.bitwise_count(bits).sum(axis=(1, 2), dtype=np.int64)
    thickness: Floats = 0.882 * area / np.maximum(near_paper(bits, 2), 1) + 0.0946
    return np.minimum(thickness, SIDE / 2)  # a page of ink is no stroke


def _half_pixels(bits: Bits) -> Halves:
    """Mark half pixels of which at least two of four upsampled pixels are ink."""
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
    """Make a word in which ``run`` bits that are set and ``run`` that are not take turns."""
    return sum(((1 << run) - 1) << start for start in range(0, 64, 2 * run))


def framed(rows: NDArray[np.uint64], margin: int) -> NDArray[np.uint64]:
    """Add ``margin`` rows of paper above and below."""
    wide = np.zeros((len(rows), rows.shape[1] + 2 * margin, *rows.shape[2:]), dtype=np.uint64)
    wide[:, margin:-margin] = rows
    return wide


def _middles(inked: Halves) -> Halves:
    """Mark the half pixels on the stroke's middle; all of a blank image.

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
    """Draw half pixels of each image, all equally likely, and which of their four upsampled pixels: 0 or 1 each.

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
    """Measure from each centre to the nearest paper, in upsampled pixels, at most ``THICKEST``; ``whole`` has a
    margin.
    """
    distance = _within(_USUAL_HALF_WIDTH, whole, image, centre)
    far = np.flatnonzero(distance > _USUAL_HALF_WIDTH)
    distance[far] = _within(THICKEST, whole, image[far], centre[far])
    return np.minimum(distance, THICKEST)


def _within(reach: int, whole: Bits, image: Indices, centre: Places) -> Floats:
    """Measure the distance, where it is at most ``reach``."""
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
    """Shift ``(n, 1)`` each: from a row's left word right and left, from its right word left and right.

    What is shifted by 64 or more is gone.
    """
    start = (column - _CENTRE)[:, None]
    return tuple(part.clip(0).astype(np.uint64) for part in (start, -start, 64 - start, start - 64))


def across(middles: Halves, image: Indices, centre: Places) -> Floats:
    """Estimate the unit vector (down, right) ``(n, 2)`` across the stroke, from the spread of its middle near
    ``centre``.
    """
    count, first, second = _moments()
    steps = np.arange(-_NEIGHBOURHOOD, _NEIGHBOURHOOD + 1)
    rows = framed(middles, _NEIGHBOURHOOD)
    near = rows[image[:, None], centre[:, :1] + steps + _NEIGHBOURHOOD]
    near = ((near << np.uint64(_NEIGHBOURHOOD)) >> centre[:, 1:].astype(np.uint64)) & np.uint64(len(count) - 1)
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
    """Sum over every row of ``2 _AROUND + 1`` half pixels: how many are set, their places and the squares of these."""
    steps = np.arange(-_NEIGHBOURHOOD, _NEIGHBOURHOOD + 1)
    pixels = (np.arange(1 << len(steps))[:, None] >> np.arange(len(steps))) & 1
    return pixels.sum(axis=1), pixels @ steps, pixels @ (steps * steps)


def radii(thickness: Floats, amount: float) -> NDArray[np.int64]:
    """Compute the upsampled pixels that are ``amount`` of half the thickness."""
    return np.minimum(np.floor(amount * SCALE * thickness / 2), LARGE // 8).astype(np.int64)
