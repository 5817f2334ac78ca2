"""Finite spaces of changes, to be exhausted: the worst case over every point is exact."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import numpy as np

from harness.corruptions.geometry import affine, shifted, turned
from harness.corruptions.registry import space
from harness.records import Images, SpacePoint, Trial


def exhausted(trials: Iterable[Trial], name: str) -> tuple[SpacePoint, ...]:
    """Select the points of a space, as far out as none is missing among them; without the origin."""
    tried = {trial.coordinates: trial for trial in trials if isinstance(trial, SpacePoint) and trial.name == name}
    axes, within = len(next(iter(tried), ())), 0
    while axes and all(point in tried for point in product(range(-within - 1, within + 2), repeat=axes) if any(point)):
        within += 1
    return tuple(trial for _, trial in sorted(tried.items()) if trial.radius <= within)


@space(unit="pixels", largest=6, axes=2)
def shift(images: Images, point: tuple[int, ...]) -> Images:
    """Move the ink ``dx`` pixels to the right and ``dy`` down; paper comes in at the edges."""
    dx, dy = point
    return shifted(images, dx, dy)


@space(unit="degrees", largest=45)
def rotation(images: Images, point: tuple[int, ...]) -> Images:
    """Turn the image counter-clockwise about its centre by whole degrees, bilinear, paper outside."""
    return affine(images, turned(float(np.deg2rad(point[0]))))


@space(unit="grey levels", largest=255)
def brightness_offset(images: Images, point: tuple[int, ...]) -> Images:
    """Add the offset to every pixel and clip to 0..255."""
    size = np.uint8(abs(point[0]))
    if point[0] >= 0:
        return np.minimum(images, ~size) + size
    return np.maximum(images, size) - size
