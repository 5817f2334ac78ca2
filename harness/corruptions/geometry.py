"""The whole image moved, turned, slanted, shrunk or warped; bilinear, with paper outside."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.linear import PIXELS, Operator, apply, apply_chosen, fields, gaussian_line, operator_by_rows
from harness.corruptions.randomness import Rng, once
from harness.corruptions.registry import MANY_AT_ONCE, Parameter, corruption
from harness.records import SIDE, Images

Pull: TypeAlias = tuple[tuple[float, float], tuple[float, float]]  # from a pixel's (x, y) to where its ink comes from

_SHEAR = Parameter("angle", "radians to a random side", (0.2, 0.4, 0.6, 0.8, 1.0))
_SCALE = Parameter("size", "of the original", (0.9, 0.8, 0.7, 0.6, 0.5))
_ROTATE = Parameter("angle", "radians to a random side", (0.2, 0.4, 0.6, 0.8, 1.0))
_TRANSLATE = Parameter("distance", "pixels along each axis, random directions", (1, 2, 3, 4, 5))
_ELASTIC = Parameter("displacement", "pixels, root mean square per axis", (0.5, 0.8, 1.1, 1.4, 1.7))
_ELASTIC_SIGMA = 3.0  # pixels
_ELASTIC_BANK = 512


@corruption(_SHEAR, source="Mu & Gilmer 2019", published=2, mnist_c=True)
def shear(images: Images, severity: int, rng: Rng) -> Images:
    """Slant the image to the left or to the right, as often the one as the other; its centre stays.

    The slant is that of the image library of the time: a row at height y comes from height ``y cos(angle)``.
    """
    return apply_chosen(_both_ways("shear", _SHEAR.at(severity)), rng.below(2), images)


@corruption(_ROTATE, source="Mu & Gilmer 2019", published=2, mnist_c=True)
def rotate(images: Images, severity: int, rng: Rng) -> Images:
    """Turn the image about its centre, as often the one way as the other."""
    return apply_chosen(_both_ways("rotate", _ROTATE.at(severity)), rng.below(2), images)


@corruption(_SCALE, source="Mu & Gilmer 2019", published=3, mnist_c=True)
def scale(images: Images, severity: int, rng: Rng) -> Images:
    """Shrink the image towards its centre."""
    factor = 1 / _SCALE.at(severity)
    return affine(images, ((factor, 0.0), (0.0, factor)))


@corruption(_TRANSLATE, source="Mu & Gilmer 2019", published=3, mnist_c=True)
def translate(images: Images, severity: int, rng: Rng) -> Images:
    """Move the image by the same number of pixels along both axes, towards a random corner."""
    corner, distance = rng.below(4), int(_TRANSLATE.at(severity))
    moved = np.empty_like(images)
    for index, (right, down) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1))):
        chosen = np.flatnonzero(corner == index)
        moved[chosen] = shifted(images[chosen], right * distance, down * distance)
    return moved


@corruption(_ELASTIC, source="Simard, Steinkraus & Platt 2003", at_once=MANY_AT_ONCE)
def elastic(images: Images, severity: int, rng: Rng) -> Images:
    """Warp by a smooth random field: uniform noise blurred by a Gaussian of 3 pixels, scaled to the stated size.

    An image draws one of 512 fields, each an exact draw.
    """
    return apply_chosen(_elastic_bank(severity), rng.below(_ELASTIC_BANK), images)


def shifted(images: Images, dx: int, dy: int) -> Images:
    """Move the ink ``dx`` pixels further right and ``dy`` further down; paper comes in at the edges."""
    moved = np.zeros_like(images)
    moved[:, max(dy, 0) : SIDE + min(dy, 0), max(dx, 0) : SIDE + min(dx, 0)] = images[
        :, max(-dy, 0) : SIDE + min(-dy, 0), max(-dx, 0) : SIDE + min(-dx, 0)
    ]
    return moved


def affine(images: Images, pull: Pull) -> Images:
    """Make the map in which a pixel takes the ink at ``pull`` times its own place, (x right, y down) from the
    centre.
    """
    return apply(_affine_operator(pull), images).reshape(images.shape)


def turned(radians: float) -> Pull:
    """Make the pull that turns the image counter-clockwise."""
    cos, sin = float(np.cos(radians)), float(np.sin(radians))
    return (cos, -sin), (sin, cos)


def _slanted(radians: float) -> Pull:
    return (1.0, -float(np.sin(radians))), (0.0, float(np.cos(radians)))


@once
def _both_ways(kind: str, radians: float) -> tuple[Operator, Operator]:
    pull = {"shear": _slanted, "rotate": turned}[kind]
    return _affine_operator(pull(radians)), _affine_operator(pull(-radians))


@once
def _affine_operator(pull: Pull) -> Operator:
    centre = (SIDE - 1) / 2
    row, column = np.divmod(np.arange(PIXELS), SIDE)
    (xx, xy), (yx, yy) = pull
    x = xx * (column - centre) + xy * (row - centre) + centre
    y = yx * (column - centre) + yy * (row - centre) + centre
    return _bilinear(x, y)


@once
def _elastic_bank(severity: int) -> tuple[Operator, ...]:
    row, column = np.divmod(np.arange(PIXELS), SIDE)
    noise = Rng(0, "elastic bank", severity, np.arange(_ELASTIC_BANK * 2)).uniform(PIXELS) * 2 - 1
    smooth = fields(gaussian_line(_ELASTIC_SIGMA, edge="reflect"), noise.reshape(-1, SIDE, SIDE))
    smooth *= _ELASTIC.at(severity) / np.sqrt(np.mean(smooth**2))
    right, down = smooth.reshape(2, _ELASTIC_BANK, PIXELS)
    return tuple(_bilinear(column + dx, row + dy) for dx, dy in zip(right, down, strict=True))


def _bilinear(x: NDArray[np.float64], y: NDArray[np.float64]) -> Operator:
    """Make the map that gives each pixel the ink at its ``(x, y)``."""
    left, above = np.floor(x), np.floor(y)
    inputs, weights = [], []
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        at_x, at_y = left + dx, above + dy
        inside = (at_x >= 0) & (at_x < SIDE) & (at_y >= 0) & (at_y < SIDE)
        inputs.append(np.where(inside, at_y * SIDE + at_x, 0).astype(np.intp))
        weights.append(np.where(inside, (1 - abs(x - at_x)) * (1 - abs(y - at_y)), 0))
    return operator_by_rows(np.stack(inputs, axis=-1), np.stack(weights, axis=-1))
