"""Changes of the pen stroke: thinner, thicker, swollen, broken. After Castro et al. 2019 (Morpho-MNIST).

As there, a digit is upsampled 4 times and cut at half its ink, and its stroke's mean thickness sets the size of a
change. Ours differs so that whole batches are fast: the thickness is estimated from what an erosion takes away, and
swellings and fractures are at places on a morphological skeleton of half pixels; swellings move half pixels.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.randomness import Indices, Rng, once
from harness.corruptions.registry import Parameter, corruption
from harness.corruptions.stroke_geometry import (
    HALF_SIDE,
    MARGIN,
    THICKEST,
    Places,
    across,
    drawn_from,
    framed,
    radii,
    shifts,
    stroke_geometry,
    to_the_edge,
)
from harness.corruptions.upsampled import LARGE, Bits, negative, shrunk, spread
from harness.records import Images

Singles: TypeAlias = NDArray[np.float32]

_THINNING = Parameter("amount", "of half the mean thickness", (0.4, 0.5, 0.6, 0.7, 0.8))
_THICKENING = Parameter("amount", "of half the mean thickness", (0.4, 0.6, 0.8, 1.0, 1.2))
_SWELLING = Parameter("radius", "half square roots of the mean thickness in pixels", (5, 6, 7, 8, 9))
_FRACTURE = Parameter("fractures", "a digit", (1, 2, 3, 4, 5))
_SOURCE = "Castro, Tan, Kainz, Konukoglu & Glocker 2019 (Morpho-MNIST)"

_FEW = 25  # images swollen at a time, so that they stay in the cache
_COLUMNS = 128  # bits of a row's two words
_REACH = 34  # half pixels, the radius of the largest swelling of the thickest stroke
_WIDE = HALF_SIDE + 2 * _REACH
_OUTSIDE = HALF_SIDE * 64  # where a swelling leaves half pixels that do not count: a row below the others
_INK, _MOVED = 1, 2  # of half pixels
_GAP = 3  # upsampled pixels, the radius of the disc that cuts
_BEYOND = 2.5  # upsampled pixels beyond the stroke: 2, and what centres are on average off its middle
_SHORT = 8  # upsampled pixels that half of most fractures is tall
_LONGEST = int(THICKEST + _BEYOND) + 1


@corruption(_THINNING, source=_SOURCE, published=4)
def thinning(images: Images, severity: int, rng: Rng) -> Images:
    """Erode the stroke by a disc of the stated share of its own half thickness."""
    digits = stroke_geometry(images)
    return shrunk(negative(_grown(negative(digits.bits), radii(digits.thickness, _THINNING.at(severity)))))


@corruption(_THICKENING, source=_SOURCE, published=4)
def thickening(images: Images, severity: int, rng: Rng) -> Images:
    """Dilate the stroke by a disc of the stated share of its own half thickness."""
    digits = stroke_geometry(images)
    return shrunk(_grown(digits.bits, radii(digits.thickness, _THICKENING.at(severity))))


@corruption(_SWELLING, source=_SOURCE, published=3)
def swelling(images: Images, severity: int, rng: Rng) -> Images:
    """Magnify the surroundings of a random place on the stroke, most at its centre (a radial power of 3)."""
    digits = stroke_geometry(images)
    centre, _ = drawn_from(digits.middles, rng)
    area = (_SWELLING.at(severity) ** 2 * digits.thickness).astype(np.float32)  # in half pixels, the radius squared
    halves = np.zeros((len(images), HALF_SIDE + 1, 64), dtype=np.uint8)
    order = np.argsort(area, kind="stable")  # of one size at a time, so that little is looked at in vain
    bits, centre, area = digits.bits[order], centre[order], area[order]
    source = (2 * centre[:, 0] + 1) * _COLUMNS + 2 * centre[:, 1] + 1
    place = (centre[:, 0] + _REACH) * _WIDE + centre[:, 1] + _REACH
    for start in range(0, len(images), _FEW):
        some = slice(start, start + _FEW)
        _swell(halves, order[some], bits[some], source[some], place[some], area[some])
    swollen = ~_doubled(halves)
    swollen &= digits.bits
    swollen |= _doubled(halves & np.uint8(_INK))
    return shrunk(swollen)


@corruption(_FRACTURE, source=_SOURCE, published=3)
def fracture(images: Images, severity: int, rng: Rng) -> Images:
    """Cut across the stroke at random places, 1.75 pixels wide and half a pixel further than it is thick there."""
    digits = stroke_geometry(images)
    whole = framed(digits.bits, MARGIN)
    rows, n, times = whole.copy(), len(images), int(_FRACTURE.at(severity))
    half_pixel, quarter = drawn_from(digits.middles, rng, times)
    image, centre = np.tile(np.arange(n), times), 2 * half_pixel + quarter
    way = across(digits.middles, image, half_pixel)
    way *= (to_the_edge(whole, image, centre) + _BEYOND)[:, None]
    _cut(rows, centre, np.floor(way).astype(np.int64))
    return shrunk(rows[:, MARGIN:-MARGIN])


def _cut(rows: Bits, centre: Places, end: Places) -> None:
    """Remove the ink between places ``end`` from the centres and opposite, of ``rows`` with a margin, in place.

    Of each image in turn, as often as there are centres; of an image one at a time.
    """
    tall, each = abs(end[:, 0]), np.arange(0, len(centre) + 1, len(rows))
    for cuts in (np.flatnonzero(tall <= _SHORT), np.flatnonzero(tall > _SHORT)):
        reach = int(tall[cuts].max(initial=0)) + 1 + _GAP
        ends, middle = end[cuts] + _LONGEST, centre[cuts]
        cut = _cuts()[:, :, MARGIN - reach : MARGIN + reach + 1][ends[:, 0], ends[:, 1]]
        right, left, beyond, back = shifts(middle[:, 1])
        kept = np.empty((*cut.shape, 2), dtype=np.uint64)
        np.right_shift(cut << right, left, out=kept[:, :, 0])
        np.left_shift(cut >> beyond, back, out=kept[:, :, 1])
        np.invert(kept, out=kept)
        image, row = cuts[:, None] % len(rows), middle[:, :1] + np.arange(MARGIN - reach, MARGIN + reach + 1)
        for start, stop in pairwise(np.searchsorted(cuts, each)):
            rows[image[start:stop], row[start:stop]] &= kept[start:stop]


def _grown(bits: Bits, by: NDArray[np.int64]) -> Bits:
    """Dilate by a disc of a radius for each digit."""
    grown = np.empty_like(bits)
    for radius in np.unique(by):
        chosen = np.flatnonzero(by == radius)
        grown[chosen] = spread(bits[chosen], int(radius))
    return grown


def _swell(
    halves: NDArray[np.uint8], which: Indices, bits: Bits, centre: Indices, target: Indices, area: Singles
) -> None:
    """Set in ``halves``, of the images ``which``, the change of each half pixel: ``_MOVED``, and maybe ``_INK``.

    Those within the root of ``area`` of a centre; others stay 0. ``centre`` is its place in the unpacked bits of an
    image, ``target`` that in ``_places``.
    """
    down, right, away, offset = _surroundings()
    near = slice(np.searchsorted(away, area.max(initial=0)))
    share = away[near] * (1 / area)[:, None]
    steps = np.floor(down[near] * share)
    steps *= np.float32(_COLUMNS)
    steps += np.floor(right[near] * share)
    source = steps.astype(np.int64)
    source += (np.arange(len(bits)) * (LARGE * _COLUMNS) + centre)[:, None]
    octets = bits.astype("<u8", copy=False).reshape(-1).view(np.uint8)
    value = np.unpackbits(octets, bitorder="little").take(source, mode="clip")
    value |= np.uint8(_MOVED)
    value *= share < 1
    place = _places().take(target[:, None] + offset[near], mode="clip")
    place += (which * (_OUTSIDE + 64))[:, None]
    halves.reshape(-1)[place] = value


def _doubled(halves: NDArray[np.uint8]) -> Bits:
    """Magnify half pixels ``(n, 57, 64)``, of which any but 0 are set; those of the last row are none."""
    octets = np.packbits(halves.reshape(-1), bitorder="little").reshape(len(halves), -1)
    words = _twice().take(octets.view("<u2")[:, : 4 * HALF_SIDE].astype(np.intp)).view("<u8")
    return np.repeat(words.reshape(len(halves), HALF_SIDE, 2).astype(np.uint64, copy=False), 2, axis=1)


@once
def _twice() -> NDArray[np.uint32]:
    """Tabulate each bit of 16 twice, side by side: ``(65536,)``."""
    octets = np.arange(1 << 16, dtype="<u2").view(np.uint8).reshape(-1, 2)
    bits = np.unpackbits(octets, axis=1, bitorder="little").repeat(2, axis=1)
    return np.packbits(bits, axis=1, bitorder="little").view("<u4")[:, 0]


@once
def _surroundings() -> tuple[Singles, Singles, Singles, NDArray[np.int64]]:
    """List the half pixels down and to the right of a place, the nearest first, in upsampled pixels.

    With their distance squared in half pixels, and how far on in ``_places``.
    """
    window = np.arange(-_REACH, _REACH + 1)
    down, right = (axis.reshape(-1) for axis in np.meshgrid(window, window, indexing="ij"))
    away = down * down + right * right
    order = np.argsort(away, kind="stable")
    down, right, away = down[order], right[order], away[order]
    singles = (2 * down).astype(np.float32), (2 * right).astype(np.float32), away.astype(np.float32)
    return *singles, down * _WIDE + right


@once
def _places() -> NDArray[np.int64]:
    """Map half pixels of ``_REACH`` around the image, too, to their place in ``_swell``; those go to ``_OUTSIDE``."""
    row, column = np.divmod(np.arange(_WIDE * _WIDE), _WIDE) - np.array(_REACH)
    inside = (row >= 0) & (row < HALF_SIDE) & (column >= 0) & (column < HALF_SIDE)
    places: NDArray[np.int64] = np.where(inside, row * 64 + column, _OUTSIDE)
    return places


@once
def _cuts() -> NDArray[np.uint64]:
    """Tabulate ``(46, 46, 53)``: rows of a cut by the place (down, right) of its end, -23 first; its centre in
    ``_CENTRE``.

    A line of pixels from there to the opposite place, each a disc.
    """
    ends = np.stack(np.meshgrid(*[np.arange(-_LONGEST, _LONGEST)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    run = 2 * ends + 1  # from the other end, which lies at -ends - 1
    length = abs(run).max(axis=1)
    lines, each = np.zeros((len(ends), 2 * MARGIN + 1, 2), dtype=np.uint64), np.arange(len(ends))
    for step in range(int(length.max()) + 1):
        pixel = np.rint(run * np.minimum(step / length, 1)[:, None]).astype(np.int64) - ends - 1
        lines[each, pixel[:, 0] + MARGIN, 0] |= np.uint64(1) << (pixel[:, 1] + 31).astype(np.uint64)
    return spread(lines, _GAP)[:, :, 0].reshape(2 * _LONGEST, 2 * _LONGEST, -1)
