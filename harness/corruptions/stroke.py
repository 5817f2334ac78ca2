"""Changes of the pen stroke: thinner, thicker, swollen, broken. After Castro et al. 2019 (Morpho-MNIST).

As there, a digit is magnified 4 times and cut at half its ink, and its stroke's mean thickness sets the size of a
change. Ours differs so that whole batches are fast: pixels of the magnified digit are bits in two 64-bit words a row,
the thickness is estimated from what an erosion takes away, swellings move half pixels around places on a morphological
skeleton, and fractures are made after shrinking back, at places on ridges of the smoothed image.
"""

from __future__ import annotations

import threading
from functools import cached_property
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.edges import slopes, smoothed
from harness.corruptions.linear import LINE_UNIT, Line, whole
from harness.corruptions.randomness import Rng, once
from harness.corruptions.registry import Parameter, corruption
from harness.records import SIDE, Images

Bits: TypeAlias = NDArray[np.uint64]  # (n, 112, 2): a row of the magnified digit, its first pixel in the lowest bit
Floats: TypeAlias = NDArray[np.float64]
Slopes: TypeAlias = NDArray[np.float32]

_held: dict[bytes, _Anatomy] = {}
_guard = threading.Lock()

_THINNING = Parameter("amount", "of half the mean thickness", (0.4, 0.5, 0.6, 0.7, 0.8))
_THICKENING = Parameter("amount", "of half the mean thickness", (0.4, 0.6, 0.8, 1.0, 1.2))
_SWELLING = Parameter("radius", "half square roots of the mean thickness in pixels", (5, 6, 7, 8, 9))
_FRACTURE = Parameter("fractures", "a digit", (1, 2, 3, 4, 5))
_SOURCE = "Castro, Tan, Kainz, Konukoglu & Glocker 2019 (Morpho-MNIST)"

_SCALE = 4
_HELD = 48  # batches of at most 250 images, 4.3 KB an image: 10,000 images are kept, of more none would be met again
_LARGE = SIDE * _SCALE
_FEW = 25  # images magnified at a time, so that they stay in the cache
_SHRINK_UNIT = 1 << 10  # weights of the shrinking filter are whole multiples of its inverse
_FINE = 8  # parts of a grey level between the axes of the magnification
_RIGHT_WORD = np.uint64((1 << (_LARGE - 64)) - 1)  # the bits in use
_COLUMNS = 128  # bits of a row's two words
_HALVES = 2  # places a pixel that a swelling moves
_REACH = 34  # half pixels, the radius of the largest swelling of the thickest stroke
_WIDE = _HALVES * SIDE + 2 * _REACH
_HALF_WORD = np.uint64((1 << _HALVES * SIDE) - 1)  # the bits in use of a row of half pixels
_GAP = 0.875  # pixels, half the width of a fracture
_BEYOND = 0.5  # pixels that a fracture goes beyond the stroke
_AROUND = np.arange(-2, 3)  # pixels around a fracture that say which way the stroke runs


@corruption(_THINNING, source=_SOURCE, published=4)
def thinning(images: Images, severity: int, rng: Rng) -> Images:
    """Erode the stroke by a disc of the stated share of its own half thickness."""
    digits = _anatomy(images)
    return _shrunk(_grown(digits.bits, _radii(digits.thickness, _THINNING.at(severity)), ink=False))


@corruption(_THICKENING, source=_SOURCE, published=4)
def thickening(images: Images, severity: int, rng: Rng) -> Images:
    """Dilate the stroke by a disc of the stated share of its own half thickness."""
    digits = _anatomy(images)
    return _shrunk(_grown(digits.bits, _radii(digits.thickness, _THICKENING.at(severity)), ink=True))


@corruption(_SWELLING, source=_SOURCE, published=3)
def swelling(images: Images, severity: int, rng: Rng) -> Images:
    """Magnify the surroundings of a random place on the stroke, most at its centre (a radial power of 3)."""
    digits = _anatomy(images)
    centre = _drawn_from(_unpacked(digits.middles), rng)
    area = ((_SWELLING.at(severity) / 2 * _HALVES) ** 2 * digits.thickness).astype(np.float32)  # the radius squared
    drawn = np.empty_like(images)
    order = np.argsort(area, kind="stable")  # of one size at a time, so that little is looked at in vain
    for start in range(0, len(images), _FEW):
        some = order[start : start + _FEW]
        drawn[some] = _levels(_swollen(digits.bits[some], centre[some], area[some]))
    return drawn


@corruption(_FRACTURE, source=_SOURCE, published=3)
def fracture(images: Images, severity: int, rng: Rng) -> Images:
    """Cut across the stroke at random places, 1.75 pixels wide and half a pixel further than it is thick."""
    digits = _anatomy(images)
    drawn = digits.drawn.copy()
    length = (digits.thickness / 2 + _BEYOND).astype(np.float32)
    reach = int(np.ceil(length.max(initial=0) + _GAP + 0.5))
    window = np.arange(-reach, reach + 1, dtype=np.float32)
    down, right = (axis.reshape(-1) for axis in np.meshgrid(window, window, indexing="ij"))
    across, along = slopes(smoothed(images))
    for _ in range(int(_FRACTURE.at(severity))):
        centre = _drawn_from(digits.ridges, rng)
        cut_x, cut_y = _steepest(across, along, centre)
        run = right * cut_x[:, None] + down * cut_y[:, None]
        side = right * cut_y[:, None] - down * cut_x[:, None]
        beyond = np.maximum(abs(run) - length[:, None], 0)
        beyond *= beyond
        beyond += side * side
        image, place = np.nonzero(beyond < np.float32((_GAP + 0.5) ** 2))
        row = centre[image, 0] + down[place].astype(np.int64)
        column = centre[image, 1] + right[place].astype(np.int64)
        kept = (np.sqrt(beyond[image, place]) - np.float32(_GAP - 0.5)).clip(0, 1)
        inside = (row >= 0) & (row < SIDE) & (column >= 0) & (column < SIDE)
        at = image[inside], row[inside], column[inside]
        drawn[at] = (drawn[at] * kept[inside] + np.float32(0.5)).astype(np.uint8)
    return drawn


class _Anatomy:
    """What the changes of a batch start from, whatever their severity; each part made when it is first asked for."""

    def __init__(self, images: Images) -> None:
        self._images = images.copy()

    @cached_property
    def bits(self) -> Bits:
        return _magnified(self._images)

    @cached_property
    def thickness(self) -> Floats:
        return _thickness(self.bits)

    @cached_property
    def drawn(self) -> Images:
        return _shrunk(self.bits)

    @cached_property
    def middles(self) -> NDArray[np.uint64]:
        return _middles(self.bits)

    @cached_property
    def ridges(self) -> NDArray[np.bool_]:
        return _ridges(smoothed(self._images))


def _anatomy(images: Images) -> _Anatomy:
    """The anatomy of these very images, made once for all changes and severities while among the last ``_HELD``."""
    name = blake2b(np.ascontiguousarray(images).data, digest_size=16).digest()
    with _guard:
        found = _held.pop(name, None) or _Anatomy(images)
        _held[name] = found
        if len(_held) > _HELD:
            del _held[next(iter(_held))]
    return found


def _magnified(images: Images) -> Bits:
    """Ink at least half way between the image's least and most."""
    octets = np.zeros((len(images), _LARGE, 16), dtype=np.uint8)
    line = _magnifier()
    large = np.empty((_FEW, _LARGE, _LARGE), dtype=np.float32)
    for start in range(0, len(images), _FEW):
        part = images[start : start + _FEW]
        across = np.matmul(part.astype(np.float32), line.T)
        across *= np.float32(_FINE / LINE_UNIT)
        np.rint(across, out=across)
        for rows in (slice(_LARGE // 2), slice(_LARGE // 2, _LARGE)):  # small products, which the BLAS does quickest
            np.matmul(line[rows], across, out=large[: len(part), rows])
        half = (part.max(axis=(1, 2)) + part.min(axis=(1, 2)).astype(np.float32)) * np.float32(_FINE * LINE_UNIT / 2)
        inked = large[: len(part)] >= np.maximum(half, 1)[:, None, None]
        octets[start : start + _FEW, :, : _LARGE // 8] = np.packbits(inked, bitorder="little").reshape(
            len(part), _LARGE, -1
        )
    bits: Bits = octets.view("<u8").astype(np.uint64, copy=False)
    return bits


def _shrunk(bits: Bits) -> Images:
    """Grey levels from the bits."""
    return _levels(_squares(bits))


def _squares(bits: Bits) -> Slopes:
    """``(n, 56, 64)``: how many of 2 x 2 magnified pixels are ink, in columns c in the order (c % 4, c // 4)."""
    half, quarter = np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    words = np.ascontiguousarray(bits.reshape(-1, 4).T)  # left and right of the upper row, then of the lower
    words -= (words >> np.uint64(1)) & np.uint64(0x5555555555555555)
    even = (words[:2] & half) + (words[2:] & half)
    words >>= np.uint64(2)
    odd = (words[:2] & half) + (words[2:] & half)
    parts = (even & quarter, odd & quarter, (even >> np.uint64(4)) & quarter, (odd >> np.uint64(4)) & quarter)
    squares = np.empty((len(bits) * _LARGE // 2, 4, 2, 8), dtype=np.float32)
    for place, part in enumerate(parts):
        squares[:, place] = part.astype("<u8", copy=False).view(np.uint8).reshape(2, -1, 8).swapaxes(0, 1)
    return squares.reshape(len(bits), -1, 64)


def _levels(squares: Slopes) -> Images:
    """Grey levels from the squares: the rest of the shrinking filter."""
    down, across = _shrinkers()
    levels: NDArray[np.float32] = np.matmul(down, np.matmul(squares, across))
    levels *= np.float32(255 / 4 / _SHRINK_UNIT**2)
    return levels.clip(0, 255, out=levels).astype(np.uint8)


def _swollen(bits: Bits, centre: NDArray[np.int64], area: Slopes) -> Slopes:
    """Squares swollen around ``centre``; that and the root of ``area`` in half pixels."""
    down, right, away = _surroundings()
    near = slice(np.searchsorted(away, area.max(initial=0)))
    share = away[near] / area[:, None]
    source = np.floor(2 * down[near] * share + 1) * np.float32(_COLUMNS)
    source += np.floor(2 * right[near] * share + 1)
    image = np.arange(len(bits))[:, None]
    start = (image * _LARGE + 2 * centre[:, :1]) * _COLUMNS + 2 * centre[:, 1:]
    octets = bits.astype("<u8", copy=False).reshape(-1).view(np.uint8)
    inked = np.unpackbits(octets, bitorder="little").take(start + source.astype(np.int64), mode="clip")
    squares = np.zeros((len(bits), _HALVES * SIDE + 1, 64), dtype=np.float32)  # a last row for what is outside
    squares[:, :-1] = _squares(bits)
    flat, offset = squares.reshape(-1), (down[near] * _WIDE + right[near]).astype(np.int64)
    middle = (centre[:, :1] + _REACH) * _WIDE + centre[:, 1:] + _REACH
    place = _places().take(middle + offset) + image * squares[0].size
    flat[place] = np.where(share < 1, inked * np.float32(4), flat.take(place))
    return squares[:, :-1]


@once
def _surroundings() -> tuple[Slopes, Slopes, Slopes]:
    """Half pixels down and to the right of a place, the nearest first, and their distance squared."""
    window = np.arange(-_REACH, _REACH + 1, dtype=np.float32)
    down, right = (axis.reshape(-1) for axis in np.meshgrid(window, window, indexing="ij"))
    away = down * down + right * right
    order = np.argsort(away, kind="stable")
    return down[order], right[order], away[order]


@once
def _places() -> NDArray[np.int64]:
    """Where ``_swollen`` has each half pixel, of ``_REACH`` around the image, too: those go to its last row."""
    half = _HALVES * SIDE
    row, column = np.divmod(np.arange(_WIDE * _WIDE), _WIDE) - np.array(_REACH)
    inside = (row >= 0) & (row < half) & (column >= 0) & (column < half)
    places: NDArray[np.int64] = np.where(inside, row * 64 + column % 4 * 16 + column // 4, half * 64)
    return places


def _thickness(bits: Bits) -> Floats:
    """Mean thickness in pixels. Fitted to twice the mean distance from the skeleton to the edge (off by 0.12)."""
    area = np.bitwise_count(bits).sum(axis=(1, 2), dtype=np.int64)
    left = np.bitwise_count(_grown(bits, np.full(len(bits), 2), ink=False)).sum(axis=(1, 2), dtype=np.int64)
    thickness: Floats = 0.882 * area / np.maximum(area - left, 1) + 0.0946
    return np.minimum(thickness, SIDE / 2)  # a page of ink is no stroke


def _radii(thickness: Floats, amount: float) -> NDArray[np.int64]:
    return np.minimum(np.floor(amount * _SCALE * thickness / 2), _LARGE // 8).astype(np.int64)


def _grown(bits: Bits, radii: NDArray[np.int64], *, ink: bool) -> Bits:
    """Ink (or else paper) spread by a disc of ``radii`` magnified pixels, one for each digit."""
    grown = np.empty_like(bits)
    for radius in np.unique(radii):
        chosen = np.flatnonzero(radii == radius)
        spread = _spread(bits[chosen] if ink else _negative(bits[chosen]), int(radius))
        grown[chosen] = spread if ink else _negative(spread)
    return grown


def _negative(bits: Bits) -> Bits:
    negative = ~bits
    negative[:, :, 1] &= _RIGHT_WORD
    return negative


def _spread(bits: Bits, radius: int) -> Bits:
    """Dilation by a disc: wider and wider runs along the rows, each laid over the rows where the disc is so wide."""
    rows: list[Bits] = [bits]
    for step in range(1, radius + 1):
        rows.append(rows[-1] | _moved_right(bits, step) | _moved_left(bits, step))
    spread: Bits = rows[radius].copy()
    for down in range(1, radius + 1):
        run = rows[int(np.sqrt(radius * radius - down * down))]
        spread[:, down:] |= run[:, :-down]
        spread[:, :-down] |= run[:, down:]
    return spread


def _moved_right(bits: Bits, step: int) -> Bits:
    moved = bits << np.uint64(step)
    moved[:, :, 1] |= bits[:, :, 0] >> np.uint64(64 - step)
    moved[:, :, 1] &= _RIGHT_WORD
    return moved


def _moved_left(bits: Bits, step: int) -> Bits:
    moved = bits >> np.uint64(step)
    moved[:, :, 0] |= bits[:, :, 1] << np.uint64(64 - step)
    return moved


def _ridges(smooth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels that are the darkest across their stroke, in some direction; all of a blank image."""
    inner, ridge = smooth[:, 1:-1, 1:-1], np.zeros(smooth.shape, dtype=bool)
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        after = smooth[:, 1 + down : SIDE - 1 + down, 1 + right : SIDE - 1 + right]
        before = smooth[:, 1 - down : SIDE - 1 - down, 1 - right : SIDE - 1 - right]
        ridge[:, 1:-1, 1:-1] |= (inner > after) & (inner >= before)
    ridge &= smooth >= smooth.max(axis=(1, 2), keepdims=True) * np.float32(0.5)
    ridge[~ridge.any(axis=(1, 2))] = True
    return ridge


def _drawn_from(pixels: NDArray[np.bool_], rng: Rng) -> NDArray[np.int64]:
    """``(n, 2)`` row and column of one of the pixels of each image, all equally likely."""
    rows = np.count_nonzero(pixels, axis=2).cumsum(axis=1)
    draws = (rng.words(1)[:, 0] >> np.uint64(32)).astype(np.int64)
    wanted = draws * rows[:, -1] >> 32
    row = (rows <= wanted[:, None]).sum(axis=1)
    each = np.arange(len(pixels))
    line = pixels[each, row].cumsum(axis=1)
    left = wanted - rows[each, row] + line[:, -1]
    return np.stack([row, (line <= left[:, None]).sum(axis=1)], axis=1)


def _unpacked(words: NDArray[np.uint64]) -> NDArray[np.bool_]:
    octets = words.astype("<u8", copy=False).view(np.uint8).reshape(*words.shape, 8)
    return np.unpackbits(octets, axis=2, bitorder="little").view(np.bool_)


def _middles(bits: Bits) -> NDArray[np.uint64]:
    """``(n, 56)``, a row of half pixels in a word: those on the stroke's middle; all of a blank image.

    What opening by a diamond loses at every step of erosion (Lantuejoul 1980).
    """
    inked = (_squares(bits) >= 2).reshape(len(bits), _HALVES * SIDE, 4, 16).swapaxes(2, 3)
    packed = np.packbits(inked.reshape(len(bits), -1, 64), axis=2, bitorder="little")
    left = np.zeros((len(bits), _HALVES * SIDE + 2), dtype=np.uint64)  # columns in bits, a row of paper on either side
    left[:, 1:-1] = packed.view("<u8")[:, :, 0]
    middle = np.zeros_like(left)
    while left.any():
        less = left & (left << np.uint64(1)) & (left >> np.uint64(1))
        less[:, 1:-1] &= left[:, :-2] & left[:, 2:]
        opened = less | (less << np.uint64(1)) | (less >> np.uint64(1))
        opened[:, 1:-1] |= less[:, :-2] | less[:, 2:]
        middle |= left & ~opened
        left = less
    middle[~middle.any(axis=1)] = _HALF_WORD
    return middle[:, 1:-1].astype(np.uint64, order="C")


def _steepest(across: Slopes, along: Slopes, centre: NDArray[np.int64]) -> tuple[Slopes, Slopes]:
    """Unit vector (x, y) along which the ink changes most around each centre: straight across the stroke."""
    rows = (centre[:, :1] + _AROUND).clip(0, SIDE - 1)[:, :, None]
    columns = (centre[:, 1:] + _AROUND).clip(0, SIDE - 1)[:, None, :]
    image = np.arange(len(centre))[:, None, None]
    x, y = across[image, rows, columns].astype(np.float64), along[image, rows, columns].astype(np.float64)
    wide, tall, mixed = ((p * q).sum(axis=(1, 2)) for p, q in ((x, x), (y, y), (x, y)))
    difference = wide - tall
    twice = difference / np.maximum(np.sqrt(difference * difference + 4 * mixed * mixed), 1)
    cut_x, cut_y = np.sqrt((1 + twice) / 2), np.where(mixed < 0, -1, 1) * np.sqrt((1 - twice) / 2)
    return cut_x.astype(np.float32), cut_y.astype(np.float32)


@once
def _magnifier() -> Line:
    """``(112, 28)``: cubic spline, then a Gaussian of a third of a pixel, as in an image pyramid."""
    from scipy import ndimage

    large = ndimage.zoom(np.eye(SIDE), (_SCALE, 1), order=3, mode="mirror", grid_mode=True)
    return whole(ndimage.gaussian_filter1d(large, 2 * _SCALE / 6, axis=0, mode="mirror"))


@once
def _shrinkers() -> tuple[Line, Line]:
    """Down ``(28, 56)`` and across ``(64, 28)``, the columns of squares in the order in which ``_shrunk`` has them.

    A Gaussian of a third of a pixel, sampled by a cubic spline, its weights summed by two.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter1d(np.eye(_LARGE), 2 * _SCALE / 6, axis=0, mode="mirror")
    small = ndimage.zoom(smooth, (1 / _SCALE, 1), order=3, mode="mirror", grid_mode=True)
    down = whole(small.reshape(SIDE, -1, 2).sum(axis=2), _SHRINK_UNIT)
    across = np.zeros((64, SIDE), dtype=np.float32)
    across[: _LARGE // 2] = down.T
    return down, np.ascontiguousarray(across.reshape(16, 4, SIDE).swapaxes(0, 1).reshape(64, SIDE))
