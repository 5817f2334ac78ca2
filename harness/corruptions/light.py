"""Changes of tone: every pixel by a fixed rule of its own grey level."""

from __future__ import annotations

import numpy as np

from harness.corruptions.randomness import Rng
from harness.corruptions.registry import Parameter, corruption
from harness.records import SIDE, Images

_BRIGHTNESS = Parameter("offset", "of full ink", (0.1, 0.2, 0.3, 0.4, 0.5))
_CONTRAST = Parameter("contrast kept", "of the original", (0.4, 0.3, 0.2, 0.1, 0.05))
_STRIPE = Parameter("width", "columns at each side", (3, 5, 7, 9, 11))
_INVERSION = Parameter("weight of the negative", "of 1", (0.15, 0.3, 0.7, 0.85, 1.0))


@corruption(_BRIGHTNESS, source="Mu & Gilmer 2019", published=5, mnist_c=True)
def brightness(images: Images, severity: int, rng: Rng) -> Images:
    """Add the offset to every pixel and clip at full ink."""
    offset = np.uint8(np.floor(255 * _BRIGHTNESS.at(severity) + 0.5))
    brighter = np.minimum(images, ~offset)
    brighter += offset
    return brighter


@corruption(_CONTRAST, source="Hendrycks & Dietterich 2019, as in the code of Mu & Gilmer 2019")
def contrast(images: Images, severity: int, rng: Rng) -> Images:
    """Draw every pixel towards the mean of its image, keeping the stated share of the difference."""
    kept = _CONTRAST.at(severity)
    means = images.reshape(len(images), -1).sum(axis=1, dtype=np.int64) / (SIDE * SIDE)
    faded = images * np.float32(kept)
    faded += ((1 - kept) * means + 0.5).astype(np.float32)[:, None, None]
    return faded.astype(np.uint8)


@corruption(_STRIPE, source="Mu & Gilmer 2019; the paper has the one of 7 columns", published=3, mnist_c=True)
def stripe(images: Images, severity: int, rng: Rng) -> Images:
    """Turn a stripe at the left and one at the right into their negatives."""
    width = int(_STRIPE.at(severity))
    striped = images.copy()
    striped[:, :, :width] ^= 255
    striped[:, :, SIDE - width :] ^= 255
    return striped


@corruption(_INVERSION, source="inverse in the code of Mu & Gilmer 2019, which has the full negative only", published=5)
def inversion(images: Images, severity: int, rng: Rng) -> Images:
    """Blend each pixel towards its negative. The weights keep clear of one half, where nothing is left to see."""
    return _blends(severity).take(images)


def _blends(severity: int) -> Images:
    ink, weight = np.arange(256), _INVERSION.at(severity)
    return np.floor((1 - weight) * ink + weight * (255 - ink) + 0.5).astype(np.uint8)
