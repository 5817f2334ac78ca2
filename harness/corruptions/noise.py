"""Noise that falls on every pixel by itself. Severities scale its strength."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.randomness import LEVELS, Rng, normals, once
from harness.corruptions.registry import Parameter, corruption
from harness.records import SIDE, Images

_PIXELS = SIDE * SIDE
_GAUSSIAN = Parameter("standard deviation", "of full ink", (0.08, 0.12, 0.18, 0.26, 0.38))
_IMPULSE = Parameter("share of pixels", "of all pixels", (0.03, 0.06, 0.09, 0.17, 0.27))


@corruption(_GAUSSIAN, source="Hendrycks & Dietterich 2019, as in the code of Mu & Gilmer 2019")
def gaussian_noise(images: Images, severity: int, rng: Rng) -> Images:
    """Add normal noise of the stated standard deviation to each pixel and clip to 0..255.

    The normal is its inverse distribution function at a 16-bit uniform, rounded to whole grey levels.
    """
    noise = _gaussian_levels(severity)[rng.sixteen_bits(_PIXELS)].reshape(images.shape)
    noise += images
    return noise.clip(0, 255, out=noise).astype(np.uint8)


@corruption(_IMPULSE, source="Mu & Gilmer 2019", published=4, mnist_c=True)
def impulse_noise(images: Images, severity: int, rng: Rng) -> Images:
    """Turn the stated share of pixels to full ink or to paper, evenly (salt and pepper). Shares are in 1/65,536."""
    each = np.uint16(round(_IMPULSE.at(severity) / 2 * LEVELS))
    draws = rng.sixteen_bits(_PIXELS).reshape(images.shape)
    salt = (draws < each).view(np.uint8)
    kept = (draws < LEVELS - int(each)).view(np.uint8)
    return (images | np.negative(salt)) & np.negative(kept)


@once
def _gaussian_levels(severity: int) -> NDArray[np.int16]:
    return np.rint(255 * _GAUSSIAN.at(severity) * normals().astype(np.float64)).astype(np.int16)
