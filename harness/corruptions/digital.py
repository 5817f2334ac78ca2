"""Losses of storing an image in too few bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.linear import PIXELS, Operator, apply, operator
from harness.corruptions.randomness import Rng, once
from harness.corruptions.registry import Parameter, corruption
from harness.records import SIDE, Images

_PIXELATE = Parameter("pixels", "along each side", (14, 11, 9, 8, 7))
_JPEG = Parameter("quality", "of 100", (25, 18, 15, 10, 7))

_BLOCK = 8
_BLOCKS = -(-SIDE // _BLOCK)
_GRID = 1 << 24  # the cosines are held as whole multiples of 1 / _GRID: sums stay below 2**53 and are exact
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)  # ITU-T T.81, table K.1


@corruption(_PIXELATE, source="Hendrycks & Dietterich 2019, with sizes for 28 pixels")
def pixelate(images: Images, severity: int, rng: Rng) -> Images:
    """Average onto fewer, larger pixels and back; a pixel belongs to the larger one that holds its middle."""
    side = int(_PIXELATE.at(severity))
    few = np.ascontiguousarray(apply(_boxes(side), images))
    nearest = np.floor((np.arange(SIDE) + 0.5) * side / SIDE).astype(np.intp)
    return few.take(nearest[:, None] * side + nearest, axis=1)


@corruption(_JPEG, source="Hendrycks & Dietterich 2019, as in the code of Mu & Gilmer 2019")
def jpeg_compression(images: Images, severity: int, rng: Rng) -> Images:
    """Round the cosine transform of each 8 x 8 block as baseline JPEG does (ITU-T T.81).

    The edge pixel goes on outside, to whole blocks.
    """
    steps = _steps(int(_JPEG.at(severity)))
    padded = np.pad(images, ((0, 0), (0, _BLOCKS * _BLOCK - SIDE), (0, _BLOCKS * _BLOCK - SIDE)), mode="edge")
    blocks = padded.reshape(-1, _BLOCKS, _BLOCK, _BLOCKS, _BLOCK).swapaxes(2, 3).astype(np.float64)
    blocks -= 128
    waves = np.matmul(blocks.reshape(len(images), -1, _BLOCK**2), _cosines())
    waves *= 1 / _GRID
    waves /= steps
    waves += np.copysign(0.5, waves)
    np.trunc(waves, out=waves)
    waves *= steps
    levels = np.matmul(waves, _cosines().T)
    levels *= 1 / _GRID
    levels += 128.5
    rows = levels.clip(0, 255, out=levels).astype(np.uint8).reshape(-1, _BLOCKS, _BLOCKS, _BLOCK, _BLOCK).swapaxes(2, 3)
    return np.ascontiguousarray(rows.reshape(padded.shape)[:, :SIDE, :SIDE])


@once
def _boxes(side: int) -> Operator:
    box = np.ceil((2 * np.arange(SIDE) + 1) * side / (2 * SIDE)) - 1
    share = (np.arange(side)[:, None] == box).astype(np.float64)
    share /= share.sum(axis=1, keepdims=True)
    weights: NDArray[np.float64] = np.einsum("ac,bd->abcd", share, share).reshape(side * side, PIXELS)
    outputs, inputs = np.nonzero(weights)
    return operator(outputs, inputs, weights[outputs, inputs], rows=side * side)


@once
def _cosines() -> NDArray[np.float64]:
    """Tabulate ``(64, 64)``: a pixel of a block to a wave, times ``_GRID``."""
    place, wave = np.meshgrid(np.arange(_BLOCK), np.arange(_BLOCK), indexing="ij")
    line = np.cos((2 * place + 1) * wave * np.pi / (2 * _BLOCK)) * np.where(wave == 0, np.sqrt(0.125), 0.5)
    whole: NDArray[np.float64] = np.rint(np.kron(line, line) * _GRID)
    return whole


def _steps(quality: int) -> NDArray[np.float64]:
    """Compute the quantisation of a wave, in grey levels, at a quality below 50."""
    return ((_LUMINANCE * (5000 // quality) + 50) // 100).clip(1, 255).reshape(-1).astype(np.float64)
