"""Affine changes of the whole image about its centre, bilinear, with paper outside."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from harness.corruptions.linear import PIXELS, Operator, apply, operator
from harness.corruptions.randomness import once
from harness.records import SIDE, Images

Pull: TypeAlias = tuple[tuple[float, float], tuple[float, float]]


def affine(images: Images, pull: Pull) -> Images:
    """Each pixel takes its value from ``pull`` times its own place, both (x right, y down) from the centre."""
    return apply(_bilinear(pull), images)


def turned(radians: float) -> Pull:
    """Pull that turns the image counter-clockwise."""
    cos, sin = float(np.cos(radians)), float(np.sin(radians))
    return (cos, -sin), (sin, cos)


@once
def _bilinear(pull: Pull) -> Operator:
    centre = (SIDE - 1) / 2
    row, column = np.divmod(np.arange(PIXELS), SIDE)
    x, y = np.array(pull) @ np.stack([column - centre, row - centre]) + centre
    left, above = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    outputs, inputs, weights = [], [], []
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        at_x, at_y = left + dx, above + dy
        inside = (at_x >= 0) & (at_x < SIDE) & (at_y >= 0) & (at_y < SIDE)
        outputs.append(np.flatnonzero(inside))
        inputs.append((at_y * SIDE + at_x)[inside])
        weights.append(((1 - abs(x - at_x)) * (1 - abs(y - at_y)))[inside])
    return operator(np.concatenate(outputs), np.concatenate(inputs), np.concatenate(weights), (PIXELS, PIXELS))
