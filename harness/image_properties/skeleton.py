"""Strokes of many binary images at once: 64 images in each word, a pixel of all of them in one row.

Axes: r rows, c columns, n images; images are (r, c, n) bool here, so that one operation does a pixel of all images.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Masks: TypeAlias = NDArray[np.bool_]  # (r, c, n)
Sums: TypeAlias = NDArray[np.float64]  # (n,)
_Words: TypeAlias = NDArray[np.uint64]  # 64 images each


def skeletons(masks: Masks) -> Masks:
    """Thin every image to lines one pixel wide: from both sides in turn until nothing goes. After Zhang & Suen 1984."""
    rows, columns, n = masks.shape
    words = -(-n // 64)
    padded = np.zeros((rows + 2, columns + 2, 8 * words), np.uint8)
    padded[1:-1, 1:-1, : -(-n // 8)] = np.packbits(masks, axis=-1)
    flat = padded.reshape(-1).view(np.uint64)
    wide = (columns + 2) * words
    inner = slice(wide + words, len(flat) - wide - words)  # a pixel's neighbours are the same array, moved
    around = (
        -wide,
        words - wide,
        words,
        words + wide,
        wide,
        wide - words,
        -words,
        -wide - words,
    )  # clockwise from above
    near = [flat[inner.start + step : inner.stop + step] for step in around]
    while _thinned(flat[inner], near):
        pass
    return np.unpackbits(padded[1:-1, 1:-1], axis=-1, count=n).astype(np.bool_)


def _thinned(pixels: _Words, near: list[_Words]) -> bool:
    """Remove one layer in place; returns whether there was any."""
    up, _, right, _, down, _, left, _ = near
    changed = False
    for keep in ((right & down, up | left), (up & left, right | down)):
        goes = _may_go(near)
        goes &= pixels
        goes &= ~(keep[0] & keep[1])
        changed = changed or bool(goes.any())
        pixels ^= goes
    return changed


def _may_go(near: list[_Words]) -> _Words:
    """Mark pixels whose eight neighbours hold one run of two to six pixels of ink."""
    two, paper, once, twice = np.zeros((4, len(near[0])), np.uint64)  # two in a row are ink, are paper; runs that begin
    pattern, begins = np.empty((2, len(near[0])), np.uint64)
    for before, after in pairwise([*near, near[0]]):
        np.bitwise_and(before, after, out=pattern)
        two |= pattern
        np.bitwise_xor(after, pattern, out=begins)
        np.bitwise_or(before, after, out=pattern)
        np.invert(pattern, out=pattern)
        paper |= pattern
        np.bitwise_and(once, begins, out=pattern)
        twice |= pattern
        once |= begins
    np.invert(twice, out=twice)
    for needed in (paper, once, twice):
        two &= needed
    return two


def strokes(masks: Masks) -> tuple[Sums, Sums]:
    """Measure each skeleton's length and mean distance to the nearest paper, in pixels; NaN without ink.

    Beyond the image is paper. Steps to a neighbour count 1, diagonal ones the root of 2 where no straight way leads.
    """
    rows, columns, n = masks.shape
    ink = np.zeros((rows + 2, columns + 2, n), np.bool_)
    ink[1:-1, 1:-1] = masks
    lines = np.zeros_like(ink)
    lines[1:-1, 1:-1] = skeletons(masks)
    for inkless in np.flatnonzero(ink.any(axis=(0, 1)) & ~lines.any(axis=(0, 1))):
        lines[(*_middle(ink[..., inkless]), inkless)] = True
    places = np.flatnonzero(lines)
    image = places % n
    count = np.bincount(image, minlength=n)
    distances = _distances(ink.reshape(-1), places, (columns + 2) * n, n)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(image, distances, n) / count
    length = np.bincount(image, _steps(lines.reshape(-1), places, (columns + 2) * n, n), n)
    return np.where(count > 0, length, np.nan), mean


def _middle(ink: NDArray[np.bool_]) -> tuple[int, int]:
    """Find the ink pixel nearest to the middle of the ink; thinning leaves nothing of a square with even sides."""
    places = np.argwhere(ink)
    y, x = places[((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return int(y), int(x)


def _steps(lines: NDArray[np.bool_], places: NDArray[np.intp], down: int, right: int) -> Sums:
    """Sum the lengths of the steps from each place to the neighbours behind it."""
    beside = {step: lines[places + step] for step in (right, down, -right)}
    far = {step: lines[places + step] for step in (down + right, down - right)}
    straight = beside[right].astype(np.float64) + beside[down]
    for step, sideways in ((down + right, right), (down - right, -right)):
        straight += np.sqrt(2) * (far[step] & ~beside[down] & ~beside[sideways])
    return straight


def _distances(ink: NDArray[np.bool_], places: NDArray[np.intp], down: int, right: int) -> Sums:
    """Measure from each place to the nearest paper: rings of growing radius, only where no paper is nearer.

    A place k pixels from the rim meets paper there at radius k, so nothing is looked up beyond the rim.
    """
    distances = np.zeros(len(places))
    waiting = np.arange(len(places))
    for radius, offsets in _rings():
        centres = places[waiting]
        clear = np.ones(len(waiting), np.bool_)
        for dy, dx in offsets:
            clear &= ink[centres + dy * down + dx * right]
        distances[waiting[~clear]] = radius
        waiting = waiting[clear]
        if not len(waiting):
            break
    return distances


@cache
def _rings(max_radius: int = 60) -> list[tuple[float, list[tuple[int, int]]]]:
    """Group whole offsets by their distance, nearest first."""
    rings: dict[int, list[tuple[int, int]]] = {}
    for dy in range(-max_radius, max_radius + 1):
        for dx in range(-max_radius, max_radius + 1):
            rings.setdefault(dy * dy + dx * dx, []).append((dy, dx))
    return [(float(np.sqrt(square)), rings[square]) for square in sorted(rings) if 0 < square <= max_radius**2]
