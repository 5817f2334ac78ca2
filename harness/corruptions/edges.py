"""Reduction of the digit to its outline."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.linear import UNIT, Line, gaussian_line, separable, whole
from harness.corruptions.randomness import Rng, once
from harness.corruptions.registry import Parameter, corruption
from harness.records import SIDE, Images

Floats: TypeAlias = NDArray[np.float32]
Bits: TypeAlias = NDArray[np.uint32]  # (n, 28), a row of pixels in a word

_CANNY = Parameter("weight of the edges", "of 1", (0.2, 0.4, 0.6, 0.8, 1.0))
_SIGMA = 1.0  # pixels
_FINE = 1 << 8  # parts of a grey level in the smoothed image
_WEAK, _STRONG = 0.1 * 255 * _FINE, 0.2 * 255 * _FINE  # thresholds of the gradient's length

_STRAIGHT = np.array([1, 1, -SIDE, SIDE])  # the step to the next pixel along the slope: side on, by quarter
_SLANTED = np.array([1 - SIDE, 1 + SIDE, 1 - SIDE, 1 + SIDE])  # and corner on


@corruption(_CANNY, source="Mu & Gilmer 2019; the paper has the edges alone", published=5, mnist_c=True)
def canny_edges(images: Images, severity: int, rng: Rng) -> Images:
    """Blend the image towards its edges after Canny 1986: Gaussian of 1 pixel, thresholds 0.1 and 0.2 of full ink."""
    edges = _edges(images)
    weight = _CANNY.at(severity)
    if weight == 1:
        return edges
    blend = images * np.float32(1 - weight)
    blend += edges * np.float32(weight)
    blend += np.float32(0.5)
    return blend.astype(np.uint8)


def _edges(images: Images) -> Images:
    across, down = slopes(smoothed(images))
    length = np.sqrt(across * across + down * down)
    steep = length >= np.float32(_WEAK)
    steep[:, [0, -1]] = steep[:, :, [0, -1]] = False
    places = np.flatnonzero(steep)
    ridge = places[_highest(places, across.reshape(-1), down.reshape(-1), length.reshape(-1))]
    strong = ridge[length.reshape(-1)[ridge] >= np.float32(_STRONG)]
    return _unpacked(_connected(_packed(strong, len(images)), _packed(ridge, len(images))))


def smoothed(images: Images) -> Floats:
    """Blur the images by a Gaussian of 1 pixel, in whole 256ths of a grey level."""
    smooth = separable(_smoother(), images)
    smooth *= np.float32(_FINE / UNIT)
    return np.rint(smooth, out=smooth)


def slopes(smooth: Floats) -> tuple[Floats, Floats]:
    """Compute Sobel's slopes to the right and downwards; whole numbers of whole numbers."""
    wide = np.pad(smooth, ((0, 0), (1, 1), (1, 1)), mode="edge")
    right = wide[:, :, 2:] - wide[:, :, :-2]
    below = wide[:, 2:] - wide[:, :-2]
    right = right[:, :-1] + right[:, 1:]
    below = below[:, :, :-1] + below[:, :, 1:]
    across = right[:, :-1] + right[:, 1:]
    down = below[:, :, :-1] + below[:, :, 1:]
    return across, down


def _highest(places: NDArray[np.intp], across: Floats, down: Floats, length: Floats) -> NDArray[np.bool_]:
    """Mark pixels whose slope is at least as long as just before and just after, between pixels by interpolation."""
    right, below, here = across.take(places), down.take(places), length.take(places)
    same = (right < 0) == (below < 0)
    same |= (right == 0) | (below == 0)
    wide, tall = abs(right), abs(below)
    share = np.minimum(wide, tall)
    share /= np.maximum(wide, tall)
    quarter = (tall > wide).view(np.uint8) * np.uint8(2) + same.view(np.uint8)
    straight, slanted = _STRAIGHT.take(quarter), _SLANTED.take(quarter)
    passed = np.ones(len(places), dtype=bool)
    for beside, beyond in ((places + straight, places + slanted), (places - straight, places - slanted)):
        near = length.take(beside)
        far = length.take(beyond)
        far -= near
        far *= share
        far += near
        passed &= far <= here
    return passed


def _connected(strong: Bits, weak: Bits) -> Bits:
    """Mark the weak pixels that are connected with a strong one, by sides or corners."""
    while True:
        wide = strong | (strong << np.uint32(1)) | (strong >> np.uint32(1))
        tall: Bits = wide.copy()
        tall[:, 1:] |= wide[:, :-1]
        tall[:, :-1] |= wide[:, 1:]
        tall &= weak
        if np.array_equal(tall, strong):
            return tall
        strong = tall


def _packed(places: NDArray[np.intp], n: int) -> Bits:
    row, column = np.divmod(places, SIDE)
    bits = np.zeros((n * SIDE, 32), dtype=bool)
    bits[row, column] = True
    octets = np.packbits(bits, axis=1, bitorder="little")
    rows: Bits = octets.view("<u4").reshape(n, SIDE).astype(np.uint32)
    return rows


def _unpacked(rows: Bits) -> Images:
    octets = rows.astype("<u4", copy=False).view(np.uint8).reshape(-1, 4)
    bits = np.unpackbits(octets, axis=1, bitorder="little")[:, :SIDE]
    return np.negative(bits).reshape(-1, SIDE, SIDE)


@once
def _smoother() -> Line:
    return whole(gaussian_line(_SIGMA, edge="none"))
