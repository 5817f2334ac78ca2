"""Blurs: Gaussian, out of focus, through rough glass, in motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.linear import (
    PIXELS,
    UNIT,
    Line,
    Operator,
    apply,
    apply_chosen,
    gaussian_line,
    operator,
    separable,
    whole,
)
from harness.corruptions.randomness import Rng, once
from harness.corruptions.registry import MANY_AT_ONCE, Parameter, corruption
from harness.records import SIDE, Images

_GAUSSIAN = Parameter("standard deviation", "pixels", (0.5, 1.0, 1.5, 2.0, 2.5))
_DEFOCUS = Parameter("radius", "pixels", (1.0, 1.5, 2.0, 2.5, 3.0))
_GLASS = Parameter("standard deviation", "pixels, of the blur before and after", (0.4, 0.55, 0.7, 0.9, 1.0))
_GLASS_REACH = Parameter("reach", "pixels a swap goes at most", (1, 1, 1, 2, 2))
_GLASS_ROUNDS = Parameter("rounds", "of swaps", (1, 1, 2, 1, 3))
_MOTION = Parameter("radius", "pixels", (6, 8, 10, 15, 15))
_MOTION_SIGMA = Parameter("standard deviation", "pixels", (1.5, 2, 3, 5, 8))

_FINE = 64  # points across a pixel
_SHUFFLES = 1024
_DIRECTIONS = np.arange(-44, 45, 2)  # degrees


@corruption(_GAUSSIAN, source="Hendrycks & Dietterich 2019, with strengths for 28 pixels")
def gaussian_blur(images: Images, severity: int, rng: Rng) -> Images:
    """Blur by a Gaussian cut off at 4 standard deviations; the edge pixel goes on outside."""
    return _rounded(separable(_gaussian(_GAUSSIAN.at(severity)), images))


@corruption(_DEFOCUS, source="Hendrycks & Dietterich 2019, with strengths for 28 pixels")
def defocus_blur(images: Images, severity: int, rng: Rng) -> Images:
    """Spread each pixel over a disc with smooth edges; the edge pixel goes on outside."""
    return apply(_disc(_DEFOCUS.at(severity)), images).reshape(images.shape)


@corruption(_GLASS, _GLASS_REACH, _GLASS_ROUNDS, source="Mu & Gilmer 2019", published=3, mnist_c=True)
def glass_blur(images: Images, severity: int, rng: Rng) -> Images:
    """Blur, swap pixels with random neighbours row by row, blur again.

    The paper's own setting and its next two, and two milder ones: its last two leave nothing to read. All swaps
    together are a permutation; an image draws one of 1,024 exact draws.
    """
    line = _gaussian(_GLASS.at(severity))
    blurred = separable(line, images)
    blurred *= np.float32(1 / UNIT)
    levels = blurred.astype(np.uint8).reshape(-1)
    places = _shuffles(severity)[rng.below(_SHUFFLES)]
    places += np.arange(len(images))[:, None] * PIXELS
    return _rounded(separable(line, levels.take(places).reshape(images.shape)))


@corruption(_MOTION, _MOTION_SIGMA, source="Mu & Gilmer 2019", published=3, mnist_c=True, at_once=MANY_AT_ONCE)
def motion_blur(images: Images, severity: int, rng: Rng) -> Images:
    """Drag the image along a line, half a Gaussian in weight, at a random angle of up to 45 degrees.

    The paper's own setting and its next two, and two milder ones: its last two leave nothing to read. The angle is
    one of 45, 2 degrees apart, where the paper's is uniform.
    """
    bank = _drags(int(_MOTION.at(severity)), _MOTION_SIGMA.at(severity))
    return apply_chosen(bank, rng.below(len(_DIRECTIONS)), images)


def _rounded(sums: NDArray[np.float32]) -> Images:
    sums += np.float32(UNIT / 2)
    sums *= np.float32(1 / UNIT)
    return sums.astype(np.uint8)


@once
def _gaussian(sigma: float) -> Line:
    return whole(gaussian_line(sigma, edge="nearest"))


@once
def _disc(radius: float) -> Operator:
    """Weigh each tap by how much of its pixel the disc covers, counted on a grid of 64 x 64 points."""
    reach = int(np.ceil(radius))
    fine = (np.arange((2 * reach + 1) * _FINE) + 0.5) / _FINE - reach - 0.5
    inside = fine[:, None] ** 2 + fine**2 <= (radius + 0.5) ** 2
    cover = inside.reshape(2 * reach + 1, _FINE, 2 * reach + 1, _FINE).mean(axis=(1, 3))
    down, right = np.divmod(np.flatnonzero(cover), 2 * reach + 1) - np.array([[reach], [reach]])
    weights = cover[cover > 0] / cover.sum()
    return _spread(down, right, weights)


@once
def _drags(radius: int, sigma: float) -> tuple[Operator, ...]:
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    return tuple(
        _spread(
            np.ceil(steps * np.sin(angle) - 0.5).astype(np.intp),
            np.ceil(steps * np.cos(angle) - 0.5).astype(np.intp),
            weights,
        )
        for angle in np.deg2rad(_DIRECTIONS)
    )


def _spread(down: NDArray[np.intp], right: NDArray[np.intp], weights: NDArray[np.float64]) -> Operator:
    """Add up ``weights`` of the pixels so far down and right of each pixel; the edge pixel goes on outside."""
    row, column = np.divmod(np.arange(PIXELS), SIDE)
    inputs = (row[:, None] + down).clip(0, SIDE - 1) * SIDE + (column[:, None] + right).clip(0, SIDE - 1)
    outputs = np.repeat(np.arange(PIXELS), len(weights))
    return operator(outputs, inputs.reshape(-1), np.tile(weights, PIXELS))


@once
def _shuffles(severity: int) -> NDArray[np.intp]:
    """Tabulate ``(1024, 784)``: the source of each pixel."""
    reach, rounds = int(_GLASS_REACH.at(severity)), int(_GLASS_ROUNDS.at(severity))
    order = range(SIDE - reach, reach, -1)
    steps = [(row, column) for _ in range(rounds) for row in order for column in order]
    choices = 2 * (2 * reach) ** 2
    draws = (
        Rng(0, "glass bank", severity, np.arange(_SHUFFLES)).sixteen_bits(len(steps)).astype(np.int64) * choices
    ) >> 16
    swapped, to = np.divmod(draws.T, (2 * reach) ** 2)
    down, right = np.divmod(to, 2 * reach)
    other = np.where(swapped == 1, (down - reach) * SIDE + right - reach, 0)
    sources = np.repeat(np.arange(PIXELS)[:, None], _SHUFFLES, axis=1)
    each = np.arange(_SHUFFLES)
    for (row, column), offset in zip(steps, other, strict=True):
        here = row * SIDE + column
        there = here + offset
        kept = sources[here].copy()
        sources[here] = sources[there, each]
        sources[there, each] = kept
    return np.ascontiguousarray(sources.T)
