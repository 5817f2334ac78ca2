"""Noise that falls on every pixel by itself."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.linear import PIXELS
from harness.corruptions.randomness import LEVELS, Rng, normals, once
from harness.corruptions.registry import Parameter, corruption
from harness.records import Images

_GAUSSIAN = Parameter("standard deviation", "of full ink", (0.08, 0.12, 0.18, 0.26, 0.38))
_SHOT = Parameter("photons", "at full ink", (60, 25, 12, 5, 3))
_IMPULSE = Parameter("share of pixels", "of all pixels", (0.03, 0.06, 0.09, 0.17, 0.27))
_SPECKLE = Parameter("standard deviation", "of the pixel's own ink", (0.15, 0.2, 0.35, 0.45, 0.6))


@corruption(_GAUSSIAN, source="Hendrycks & Dietterich 2019, as in the code of Mu & Gilmer 2019")
def gaussian_noise(images: Images, severity: int, rng: Rng) -> Images:
    """Add normal noise to each pixel and clip to 0..255.

    The normal is its inverse distribution function at a 16-bit uniform, rounded to whole grey levels.
    """
    noise = _gaussian_levels(severity)[rng.sixteen_bits(PIXELS)].reshape(images.shape)
    noise += images
    return noise.clip(0, 255, out=noise).astype(np.uint8)


@corruption(_SHOT, source="Mu & Gilmer 2019", published=5, mnist_c=True)
def shot_noise(images: Images, severity: int, rng: Rng) -> Images:
    """Give each pixel as many photons as a Poisson law with its ink as mean lets through; clip at full ink.

    The Poisson count is its inverse distribution function at a 16-bit uniform, one table a grey level.
    """
    corrupted = np.zeros_like(images)
    inked = np.flatnonzero(images)
    places = images.reshape(-1).take(inked).astype(np.intp)
    places *= LEVELS
    places += rng.sixteen_bits(PIXELS).reshape(-1).take(inked)
    corrupted.reshape(-1)[inked] = _shot_levels(severity).take(places)
    return corrupted


@corruption(_IMPULSE, source="Mu & Gilmer 2019", published=4, mnist_c=True)
def impulse_noise(images: Images, severity: int, rng: Rng) -> Images:
    """Turn the stated share of pixels to full ink or to paper, evenly (salt and pepper). Shares are in 1/65,536."""
    each = round(_IMPULSE.at(severity) / 2 * LEVELS)
    draws = rng.sixteen_bits(PIXELS).reshape(images.shape)
    salt = np.negative((draws < each).view(np.uint8))
    kept = np.negative((draws < LEVELS - each).view(np.uint8))
    salt |= images
    salt &= kept
    return salt


@corruption(_SPECKLE, source="Hendrycks & Dietterich 2019, as in the code of Mu & Gilmer 2019")
def speckle_noise(images: Images, severity: int, rng: Rng) -> Images:
    """Add to each pixel normal noise in proportion to its ink and clip to 0..255; the normal as in gaussian_noise."""
    corrupted = np.zeros_like(images)
    inked = np.flatnonzero(images)
    draws = rng.sixteen_bits(PIXELS).reshape(-1)[inked]
    ink = _speckle_factors(severity).take(draws)
    ink *= images.reshape(-1)[inked]
    ink += np.float32(0.5)
    corrupted.reshape(-1)[inked] = ink.clip(0, 255, out=ink).astype(np.uint8)
    return corrupted


@once
def _gaussian_levels(severity: int) -> NDArray[np.int16]:
    return np.rint(255 * _GAUSSIAN.at(severity) * normals().astype(np.float64)).astype(np.int16)


@once
def _speckle_factors(severity: int) -> NDArray[np.float32]:
    return (1 + _SPECKLE.at(severity) * normals().astype(np.float64)).astype(np.float32)


@once
def _shot_levels(severity: int) -> NDArray[np.uint8]:
    """Tabulate ``(256 * 65536,)``: the grey level at each ink and uniform."""
    photons = _SHOT.at(severity)
    most = int(photons)  # more than full ink is clipped
    table = np.empty((256, LEVELS), dtype=np.uint8)
    levels = np.floor(255 * np.arange(most + 1) / photons + 0.5).astype(np.uint8)
    for ink in range(256):
        mean = ink / 255 * photons
        chances = [math.exp(-mean) * mean**k / math.factorial(k) for k in range(most)]
        ends = np.rint(np.cumsum(chances) * LEVELS).astype(np.int64)
        table[ink] = np.repeat(levels, np.diff(ends, prepend=0, append=LEVELS))
    return table.reshape(-1)
