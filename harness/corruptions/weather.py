"""Fog and mud, drawn from banks that are made once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.linear import PIXELS, fields, gaussian_line
from harness.corruptions.randomness import Rng, normals, once
from harness.corruptions.registry import Parameter, corruption
from harness.records import SIDE, Images

_FOG = Parameter("density", "of full ink", (1.5, 2.0, 2.5, 2.75, 3.0))
_FOG_DECAY = Parameter("decay", "of the plasma's steps per halving", (2.0, 2.0, 1.7, 1.5, 1.4))
_SPATTER = Parameter("threshold", "of full ink", (0.69, 0.65, 0.68, 0.65, 0.68))
_SPATTER_MEAN = Parameter("mean", "of full ink", (0.65, 0.65, 0.65, 0.67, 0.65))
_SPATTER_SPREAD = Parameter("standard deviation", "of full ink", (0.3, 0.3, 0.3, 0.4, 0.3))
_SPATTER_SIZE = Parameter("blur of the drops", "pixels", (4, 1, 3, 1, 2))
_SPATTER_EDGE = Parameter("blur of their edges", "pixels", (0.6, 1.5, 0.6, 1.5, 0.5))

_MAP = 256  # pixels, the side of a plasma map
_MAPS = 1024
_COARSE = 4  # pixels between the points of a map that are computed away from its corner
_MUD = 63  # grey level
_DROPS = 2048


@corruption(_FOG, _FOG_DECAY, source="Mu & Gilmer 2019", published=5, mnist_c=True)
def fog(images: Images, severity: int, rng: Rng) -> Images:
    """Add a plasma cloud and scale back to the image's own range.

    The paper's settings, but for the fourth density, 2.5 in the paper, which changes images no more than the third.
    An image draws one of 4,096 clouds: the corner of 1,024 diamond-square maps, itself or mirrored, or its negative,
    all equally likely under the exact law. Away from the corner, points less than 4 pixels apart are left out of a
    map's smallest and largest value.
    """
    clouds = _clouds(_FOG_DECAY.at(severity))
    foggy = clouds[rng.below(len(clouds))].astype(np.float32)
    density = 255 * _FOG.at(severity)
    foggy *= np.float32(density / 65535)
    foggy += images.reshape(len(images), PIXELS)
    top = images.reshape(len(images), PIXELS).max(axis=1, initial=0).astype(np.float64)
    foggy *= (top / (top + density)).astype(np.float32)[:, None]
    foggy += np.float32(0.5)
    return foggy.astype(np.uint8).reshape(images.shape)


@corruption(
    _SPATTER,
    _SPATTER_MEAN,
    _SPATTER_SPREAD,
    _SPATTER_SIZE,
    _SPATTER_EDGE,
    source="Mu & Gilmer 2019",
    published=2,
    mnist_c=True,
)
def spatter(images: Images, severity: int, rng: Rng) -> Images:
    """Splash drops of mud over the image: blurred normal noise above a threshold, its edges blurred.

    The paper's settings, in the order of how much they change an image. An image draws one of 2,048 exact draws, half
    of them with the noise of the other half reversed.
    """
    clear, mud = _drops(severity)
    choice = rng.below(_DROPS)
    splashed = clear[choice]
    splashed *= images.reshape(len(images), PIXELS)
    splashed += mud[choice]
    return splashed.astype(np.uint8).reshape(images.shape)


@once
def _clouds(decay: float) -> NDArray[np.uint16]:
    """Make ``(4096, 784)``: clouds, 0 the thinnest place of their map and 65,535 the thickest."""
    made = []
    for first in range(0, _MAPS, 64):
        rng = Rng(0, f"fog bank {decay}", 0, np.arange(first, first + 64))
        made.append(_corners(rng, 64, decay))
    exact = np.concatenate(made)
    return np.concatenate([exact, 65535 - exact]).reshape(-1, PIXELS)


def _corners(rng: Rng, maps: int, decay: float) -> NDArray[np.uint16]:
    """Return two opposite corners of each map, both with the map's first point in theirs."""
    coarse, wibble = np.zeros((maps, 1, 1), dtype=np.float32), 100.0
    while coarse.shape[1] < _MAP // _COARSE:
        coarse = _halved(coarse, wibble, rng)
        wibble /= decay
    low, high = coarse.min(axis=(1, 2)), coarse.max(axis=(1, 2))
    reach = SIDE // _COARSE + 3
    near = np.arange(-reach, reach + 1)
    fine = coarse[:, near[:, None], near]
    middle = reach
    while middle < reach * _COARSE:
        fine = _halved(fine, wibble, rng)
        wibble /= decay
        middle *= 2
    window = fine[:, middle - SIDE + 1 : middle + SIDE, middle - SIDE + 1 : middle + SIDE]
    low, high = np.minimum(low, window.min(axis=(1, 2))), np.maximum(high, window.max(axis=(1, 2)))
    window = (window - low[:, None, None]) * (np.float32(65535) / (high - low))[:, None, None] + np.float32(0.5)
    levels = window.astype(np.uint16)
    return np.stack([levels[:, SIDE - 1 :, SIDE - 1 :], levels[:, SIDE - 1 :: -1, SIDE - 1 :: -1]])


def _halved(coarse: NDArray[np.float32], wibble: float, rng: Rng) -> NDArray[np.float32]:
    """Take one step of diamond-square on a torus: twice as many points each way."""
    maps, side = coarse.shape[:2]
    size = np.float32(wibble * wibble * 2 / 65536)

    def shaken(sums: NDArray[np.float32]) -> NDArray[np.float32]:
        draws = rng.sixteen_bits(side * side).reshape(maps, side, side).astype(np.float32)
        return sums * np.float32(0.25) + (draws - np.float32(32767.5)) * size

    pairs = coarse + np.roll(coarse, -1, axis=1)
    centre = shaken(pairs + np.roll(pairs, -1, axis=2))
    across = shaken(centre + np.roll(centre, 1, axis=1) + coarse + np.roll(coarse, -1, axis=2))
    down = shaken(centre + np.roll(centre, 1, axis=2) + coarse + np.roll(coarse, -1, axis=1))
    fine = np.empty((maps, 2 * side, 2 * side), dtype=np.float32)
    fine[:, ::2, ::2], fine[:, 1::2, 1::2] = coarse, centre
    fine[:, ::2, 1::2], fine[:, 1::2, ::2] = across, down
    return fine


@once
def _drops(severity: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Make ``(2048, 784)`` twice: the share of the image that shows through, and the mud with a half to round by."""
    noise = normals()[Rng(0, "spatter bank", severity, np.arange(_DROPS // 2)).sixteen_bits(PIXELS)].astype(np.float64)
    noise = np.concatenate([noise, -noise])
    noise = _SPATTER_MEAN.at(severity) + _SPATTER_SPREAD.at(severity) * noise
    liquid = fields(gaussian_line(_SPATTER_SIZE.at(severity), edge="nearest"), noise.reshape(-1, SIDE, SIDE))
    drops = (liquid > _SPATTER.at(severity)).astype(np.float64)
    mud = fields(gaussian_line(_SPATTER_EDGE.at(severity), edge="nearest"), drops).reshape(-1, PIXELS)
    mud[mud < 0.8] = 0
    return (1 - mud).clip(0, 1).astype(np.float32), (_MUD * mud + 0.5).astype(np.float32)
