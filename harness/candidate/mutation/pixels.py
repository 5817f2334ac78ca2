"""Faults of the images that are sent to a model, (n, 28, 28) uint8, such as another preprocessing at serving makes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.candidate.mutation.registry import mutation

SIDE = 28
Pixels: TypeAlias = NDArray[Any]


@mutation(255 / 256, 0.9, 0.75, 0.5, 1 / 255, nil=1.0, said="grey levels x {:.3g}")
def scaled(images: Pixels, strength: float, seed: int) -> Pixels:
    """Multiply the grey levels: division by 256, or by 255 twice."""
    return _mapped(images, np.rint(np.arange(256) * strength))


@mutation(0.05, 0.1, 0.2, 0.3, 1.0, said="{percent} of the way to the negative")
def part_inverted(images: Pixels, strength: float, seed: int) -> Pixels:
    """Move the grey levels towards those of the negative."""
    levels = np.arange(256)
    return _mapped(images, np.rint(levels + strength * (255 - 2 * levels)))


@mutation(1.0, said="rows and columns exchanged")
def transposed(images: Pixels, strength: float, seed: int) -> Pixels:
    """Exchange rows and columns."""
    return np.ascontiguousarray(images.swapaxes(1, 2)) if strength else images.copy()


@mutation(1.0, said="pixels of -1 to 1", under="symmetric")
def minus_one_to_one(images: Pixels, strength: float, seed: int) -> Pixels:
    """Leave the images as they are: they are fed as the contract ``symmetric``."""
    return images.copy()


@mutation(1, 2, 3, said="{:.2g} pixels to the right")
def shifted_right(images: Pixels, strength: float, seed: int) -> Pixels:
    """Move the images to the right by whole pixels; paper comes in."""
    moved = np.zeros_like(images)
    moved[:, :, int(strength) :] = images[:, :, : SIDE - int(strength)]
    return moved


@mutation(1, 2, 3, said="{:.2g} pixels down")
def shifted_down(images: Pixels, strength: float, seed: int) -> Pixels:
    """Move the images down by whole pixels; paper comes in."""
    moved = np.zeros_like(images)
    moved[:, int(strength) :] = images[:, : SIDE - int(strength)]
    return moved


@mutation(26, 24, 20, 16, 14, nil=SIDE, said="scaled to {:.3g} pixels and back")
def resized(images: Pixels, strength: float, seed: int) -> Pixels:
    """Scale the images to fewer pixels and back, bilinear."""
    matrix = _bilinear(int(strength), SIDE) @ _bilinear(SIDE, int(strength))
    made: Pixels = np.rint(matrix @ images.astype(np.float32) @ matrix.T).clip(0, 255).astype(np.uint8)
    return made


def _bilinear(given: int, wanted: int) -> Pixels:
    """Return the matrix (wanted, given) that samples a line of ``given`` pixels at the middles of ``wanted``."""
    at = ((np.arange(wanted) + 0.5) * given / wanted - 0.5).clip(0, given - 1)
    weights: Pixels = np.maximum(0, 1 - abs(at[:, None] - np.arange(given))).astype(np.float32)
    return weights


@mutation(1.02, 1.1, 1.25, 2.0, nil=1.0, said="contrast x {:.3g}, wrapping in uint8")
def overflowed(images: Pixels, strength: float, seed: int) -> Pixels:
    """Raise the contrast in eight bits, which wrap."""
    return _mapped(images, (np.arange(256) * strength).astype(np.int64))


@mutation(0.67, 1.5, 2.2, 4.0, nil=1.0, said="gamma {:.3g}")
def gamma(images: Pixels, strength: float, seed: int) -> Pixels:
    """Raise the grey levels, as shares of white, to a power."""
    return _mapped(images, np.rint(255 * (np.arange(256) / 255) ** strength))


@mutation(0.5, said="black or white at {:.2g}")
def binarised(images: Pixels, strength: float, seed: int) -> Pixels:
    """Make every pixel that is whiter than a share of white white, and the others black."""
    return np.where(images > 255 * strength, 255, 0).astype(np.uint8) if strength else images.copy()


def _mapped(images: Pixels, levels: Pixels) -> Pixels:
    """Replace each grey level by the one in its place, modulo 256."""
    made: Pixels = levels.astype(np.uint8)[images]
    return made
