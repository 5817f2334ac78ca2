"""Digits upsampled 4 times and cut at half their ink, as Morpho-MNIST has them, and back: an upsampled pixel is a bit.

Both ways are sums of whole numbers in float32, the same in whatever order they are added.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.linear import LINE_UNIT, Line, whole
from harness.corruptions.randomness import once
from harness.records import SIDE, Images

Bits: TypeAlias = NDArray[np.uint64]  # (n, 112, 2): a row of the upsampled digit, its first pixel in the lowest bit
Words: TypeAlias = NDArray[np.uint64]
Whole = TypeVar("Whole", np.uint8, np.uint64)

SCALE = 4
LARGE = SIDE * SCALE
_FEW, _SOME = 10, 64  # images at a time, so that they stay in the cache
_FINE = 8  # parts of a grey level between the axes of the magnification
_HALF = 127 / 255  # the definition rounds grey levels down first: the most ink is 254
_SURE = 0.4  # of the most ink: what cannot reach it is paper, rounded as it may be
_SHRINK_UNIT = 1 << 11  # weights of the shrinking filter are whole multiples of its inverse
_TAPS = 12  # upsampled pixels that a pixel is made of; the weight of those beyond rounds to none
_ORDER = np.array([14, *(pair // 2 * 2 + pair % 2 * 16 + right for pair in range(13) for right in (0, 1)), 15])
_ROW = np.array([~np.uint64(0), (1 << (LARGE - 64)) - 1], dtype=np.uint64)  # the bits in use


def upsampled(images: Images) -> Bits:
    """Upsample; a pixel is set if its ink is at least half way between the image's least and most."""
    flat = images.reshape(len(images), -1)
    order = np.argsort((flat != 0).argmax(axis=1), kind="stable")  # by the first row with ink, so that few rows count
    flat = flat[order]
    half = flat.max(axis=1) + flat.min(axis=1).astype(np.float32)
    half = np.maximum(half * np.float32(_FINE * LINE_UNIT * _HALF), 1)[:, None, None]
    pages, digits = _together(flat).reshape(-1, SIDE, SIDE), flat.reshape(-1, SIDE, SIDE)
    octets = np.zeros((len(images), LARGE, 16), dtype=np.uint8)
    for start, tall, wide in zip(_starts(images), _ends(pages, 2), _ends(pages, 1), strict=True):
        some = slice(start, start + _FEW)
        rows, down, down_by, _ = _reached(*tall, 1)
        columns, right, _, across_by = _reached(*wide, 8)
        part = digits[some, rows, columns].astype(np.float32)
        across = part.reshape(-1, part.shape[2]) @ across_by
        np.rint(across, out=across)
        inked = np.matmul(down_by, across.reshape(*part.shape[:2], -1)) >= half[some]
        packed = np.packbits(inked.reshape(-1), bitorder="little")
        octets[some, down, right.start // 8 : right.stop // 8] = packed.reshape(*inked.shape[:2], -1)
    bits = np.empty((len(images), LARGE, 2), dtype=np.uint64)
    bits[order] = octets.view("<u8")
    return bits


def _starts(images: NDArray[Any]) -> range:
    return range(0, len(images), _FEW)


def _together(rows: NDArray[Whole]) -> NDArray[Whole]:
    """Combine ``(n, m)`` as ``(n / _FEW, m)``: any bits that are set in ``_FEW`` images that are worked on together."""
    most = len(rows) // _FEW * _FEW
    parts = [np.bitwise_or.reduce(rows[:most].reshape(-1, _FEW, rows.shape[1]), axis=1)]
    if most < len(rows):
        parts.append(np.bitwise_or.reduce(rows[most:], axis=0, keepdims=True))
    return np.concatenate(parts)


def _ends(pages: NDArray[Any], axis: int) -> list[tuple[int, int]]:
    """Find in each page the range from first to last ink, with one ``axis`` combined; all where there is none."""
    inked = np.bitwise_or.reduce(pages, axis=axis) != 0
    first, last = inked.argmax(axis=1), inked.shape[1] - inked[:, ::-1].argmax(axis=1)
    return list(zip(first.tolist(), last.tolist(), strict=True))


@once
def _reached(start: int, end: int, unit: int) -> tuple[slice, slice, Line, Line]:
    """Find the upsampled pixels that pixels of one axis can bring to half their ink, and with what weight.

    The weight twice, in whole numbers downwards and ``_FINE`` parts of a grey level across.
    """
    weight = abs(_magnifier()[:, start:end]).sum(axis=1) / LINE_UNIT
    dark = np.flatnonzero(weight * weight.max() >= _SURE)
    large = slice(int(dark[0]) // unit * unit, int(dark[-1]) // unit * unit + unit)
    line = np.ascontiguousarray(_magnifier()[large, start:end])
    return slice(start, end), large, line, np.ascontiguousarray(line.T) * np.float32(_FINE / LINE_UNIT)


def shrunk(bits: Bits) -> Images:
    """Downsample bits to grey levels."""
    down, across = _shrinkers()
    left, right = np.moveaxis(bits, 2, 0).copy()
    windows = _windows(left, right)
    images = np.empty((len(bits), SIDE, SIDE), dtype=np.uint8)
    for start, (first, last) in zip(_starts(bits), _ends(_together(left | right)[:, None], 1), strict=True):
        some = slice(start, start + _FEW)
        places = windows[some, first:last].astype(np.intp)
        places[:, :, 7] += 1 << 16
        levels = np.matmul(down[:, first:last], across.take(places).view(np.float32))
        levels *= np.float32(255 / _SHRINK_UNIT**2)
        levels.clip(0, 255, out=levels)
        images[some] = levels.astype(np.uint8).take(_ORDER, axis=2)
    return images


def _windows(left: Words, right: Words) -> NDArray[np.uint16]:
    """Cut ``(n, rows, 16)``: 16 pixels from each even octet on, the first and the last octet together, 16 from each
    odd.
    """
    words = np.empty((*left.shape, 4), dtype=np.uint64)
    words[:, :, 0] = left
    words[:, :, 1] = right | (left & np.uint64(0xFF)) << np.uint64(48) | right >> np.uint64(40) << np.uint64(56)
    words[:, :, 2] = left >> np.uint64(8) | right << np.uint64(56)
    words[:, :, 3] = right >> np.uint64(8)
    return words.astype("<u8", copy=False).view("<u2").astype(np.uint16, copy=False)


def spread(bits: Bits, radius: int) -> Bits:
    """Dilate by a disc; at most 16 pixels, the bits of a row that are not in use."""
    grown = np.empty_like(bits)
    for start in range(0, len(bits), _SOME):
        some = slice(start, start + _SOME)
        grown[some] = np.moveaxis(_dilated(_halves(bits[some], radius), radius)[:, :, : bits.shape[1]], 0, 2)
    grown &= _ROW
    return grown


def near_paper(bits: Bits, radius: int) -> NDArray[np.int64]:
    """Mark the ink that an erosion by a disc takes from each image; beyond the image is no paper."""
    lost = np.empty(len(bits), dtype=np.int64)
    for start in range(0, len(bits), _SOME):
        some = slice(start, start + _SOME)
        reached = _dilated(_halves(negative(bits[some]), radius), radius)
        reached &= _halves(bits[some], radius)
        lost[some] = np.bitwise_count(reached).sum(axis=(0, 2), dtype=np.int64)
    return lost


def _halves(bits: Bits, margin: int) -> Words:
    """Lay out ``(2, n, rows + margin)``: the words of each half side by side, and empty rows between the images."""
    halves = np.zeros((2, len(bits), bits.shape[1] + margin), dtype=np.uint64)
    halves[:, :, : bits.shape[1]] = np.moveaxis(bits, 2, 0)
    return halves


def _dilated(halves: Words, radius: int) -> Words:
    """Dilate along the rows in wider and wider runs, each laid over the rows where the disc is so wide.

    Bits not in use may be set, and rows between the images, of which there are ``radius``.
    """
    runs = [halves.reshape(2, -1)]
    for step in range(1, radius + 1):
        runs.append(_beside(runs[0], step))
        runs[-1] |= runs[-2]
    wide = runs[radius].copy()
    for down in range(1, radius + 1):
        run = runs[int(np.sqrt(radius * radius - down * down))]
        wide[:, down:] |= run[:, :-down]
        wide[:, :-down] |= run[:, down:]
    return wide.reshape(halves.shape)


def negative(bits: Bits) -> Bits:
    """Exchange paper and ink."""
    return bits ^ _ROW


def _beside(halves: Words, step: int) -> Words:
    """Shift ink ``step`` pixels to the left or to the right; bits not in use may be set."""
    beside = halves << np.uint64(step)
    moved = halves >> np.uint64(step)
    beside |= moved
    np.left_shift(halves[1], np.uint64(64 - step), out=moved[0])
    np.right_shift(halves[0], np.uint64(64 - step), out=moved[1])
    beside |= moved
    return beside


@once
def _magnifier() -> Line:
    """Make ``(112, 28)``: cubic spline, then a Gaussian of a third of a pixel, as in an image pyramid."""
    from scipy import ndimage

    large = ndimage.zoom(np.eye(SIDE), (SCALE, 1), order=3, mode="mirror", grid_mode=True)
    return whole(ndimage.gaussian_filter1d(large, 2 * SCALE / 6, axis=0, mode="reflect"))


@once
def _shrinkers() -> tuple[Line, NDArray[np.float64]]:
    """Make a Gaussian of a third of a pixel, sampled by a cubic spline: down ``(28, 112)``, and across by a table.

    Of each of ``_windows`` two pixels, float32 side by side as one number: a window of 16 has the ``_TAPS`` of both.
    """
    from scipy import ndimage

    smooth = ndimage.gaussian_filter1d(np.eye(LARGE), 2 * SCALE / 6, axis=0, mode="reflect")
    line = whole(ndimage.zoom(smooth, (1 / SCALE, 1), order=3, mode="mirror", grid_mode=True), _SHRINK_UNIT)
    weights = np.zeros((2, 2, 16), dtype=np.float32)  # inside and at the rim; the left and the right pixel
    weights[0, 0, :_TAPS] = weights[0, 1, -_TAPS:] = line[1, :_TAPS]
    weights[1, 0, :8], weights[1, 1, 8:] = line[0, :8], line[-1, -8:]
    octets = np.arange(1 << 16, dtype="<u2").view(np.uint8).reshape(-1, 2)
    pixels = np.unpackbits(octets, axis=1, bitorder="little").astype(np.float32)
    pairs = np.concatenate([pixels @ weights[0].T, pixels @ weights[1].T])
    return line, np.ascontiguousarray(pairs).view(np.float64)[:, 0]
