"""Drawings over the digit. Every possible drawing is in a bank, so the distribution is exact."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.corruptions.randomness import Rng, once
from harness.corruptions.registry import Parameter, corruption
from harness.records import SIDE, Images

Floats: TypeAlias = NDArray[np.float64]

_DOTTED = Parameter("reach", "pixels from the line's middle to paper", (1.3, 1.8, 2.3, 2.9, 3.6))
_ZIGZAG = Parameter("reach", "pixels from the line's middle to paper", (1.3, 1.8, 2.3, 2.9, 3.6))
_OCCLUSION = Parameter("side", "pixels", (4, 6, 8, 10, 12))

_STARTS = 27  # rows at which a line may start
_DRIFT = 10  # ends of a zigzag for each start, from 5 rows above it to 4 below
_TOOTH = 2.0  # pixels: half a zigzag's length, and its height
_LEFT, _RIGHT = 2, 25  # columns between which a zigzag runs
_MIDDLE = 20  # pixels, the side of the square in which an occlusion has its centre


@corruption(_DOTTED, source="Mu & Gilmer 2019; the paper has the one of reach 2.3", published=3, mnist_c=True)
def dotted_line(images: Images, severity: int, rng: Rng) -> Images:
    """Draw a straight dotted line from a random row at the left edge to a random row at the right."""
    return _added(images, _dotted_lines(severity), rng)


@corruption(_ZIGZAG, source="Mu & Gilmer 2019; the paper has the one of reach 2.3", published=3, mnist_c=True)
def zigzag(images: Images, severity: int, rng: Rng) -> Images:
    """Draw a zigzag from a random row at the left to one at most 5 rows away at the right."""
    return _added(images, _zigzags(severity), rng)


@corruption(_OCCLUSION, source="DeVries & Taylor 2017 (cutout)")
def occlusion(images: Images, severity: int, rng: Rng) -> Images:
    """Cover a square with paper; its centre is uniform on the 20 x 20 pixels in the middle, where digits are."""
    covers = _covers(severity)
    return images & covers[rng.below(len(covers))]


def _added(images: Images, bank: Images, rng: Rng) -> Images:
    drawn = bank[rng.below(len(bank))]
    drawn += np.minimum(images, ~drawn)
    return drawn


@once
def _dotted_lines(severity: int) -> Images:
    starts, ends = np.divmod(np.arange(_STARTS * _STARTS), _STARTS)
    lines = _lines(np.zeros(len(starts)), starts, np.full(len(starts), SIDE - 1.0), ends, _DOTTED.at(severity))
    dots = np.arange(SIDE) % 4 >= 2
    return _ink(lines * dots)


@once
def _zigzags(severity: int) -> Images:
    """Draw the teeth of one zigzag for each drift, at every height it can start from."""
    drawings = []
    for drift in range(-(_DRIFT // 2), _DRIFT - _DRIFT // 2):
        x, y = _corners(drift)
        starts = np.arange(_STARTS)[:, None]
        x, to_x = np.tile(x[:-1], _STARTS), np.tile(x[1:], _STARTS)
        lines = _lines(x, (y[:-1] + starts).reshape(-1), to_x, (y[1:] + starts).reshape(-1), _ZIGZAG.at(severity))
        drawings.append(lines.reshape(_STARTS, -1, SIDE, SIDE).sum(axis=1))
    return _ink(np.concatenate(drawings))


def _corners(drift: int) -> tuple[Floats, Floats]:
    """List the corners (x, y) of a zigzag from row 0 to row ``drift``, the last tooth cut as the paper's code cuts
    it.
    """
    angle = np.arctan(drift / (_RIGHT - _LEFT))
    length = (_RIGHT - _LEFT) / np.cos(angle)
    teeth = np.arange(int((length - _TOOTH) // (2 * _TOOTH)) + 1)
    along = [0.0, *((2 * teeth + 1) * _TOOTH)]
    aside = [0.0, *((-1.0) ** teeth * _TOOTH)]
    last = 2 * _TOOTH * (length // (2 * _TOOTH))
    if length != last:
        along.append(length)
        aside.append(aside[-1] / (2 * (length - last)))
    x = np.cos(angle) * np.array(along) - np.sin(angle) * np.array(aside) + _LEFT
    return x, np.sin(angle) * np.array(along) + np.cos(angle) * np.array(aside)


def _lines(x: Floats, y: Floats, to_x: Floats, to_y: Floats, reach: float) -> Floats:
    """Draw ``(m, 28, 28)`` ink 0..1: with the vertical distance d from the line, ``1 + log(1 - d / reach)``."""
    columns, rows = np.arange(SIDE), np.arange(SIDE)
    heights = ((to_y - y) / (to_x - x))[:, None] * (columns - x[:, None]) + y[:, None]
    drawn = (columns >= np.floor(x)[:, None]) & (columns < np.ceil(to_x)[:, None])
    which, column = np.nonzero(drawn)
    distance = abs(rows - heights[drawn][:, None])
    lines = np.zeros((len(x), SIDE, SIDE))
    lines[which, :, column] = (1 + np.log(1 - distance.clip(0, reach - 1e-10) / reach)).clip(0, 1)
    return lines


def _ink(drawings: Floats) -> Images:
    return np.floor(255 * drawings.clip(0, 1) + 0.5).astype(np.uint8)


@once
def _covers(severity: int) -> Images:
    """Make masks, 0 under the square and 255 elsewhere."""
    side = int(_OCCLUSION.at(severity))
    tops = np.arange(_MIDDLE) + (SIDE - _MIDDLE) // 2 - side // 2
    place = np.arange(SIDE)
    within = (place >= tops[:, None]) & (place < tops[:, None] + side)
    covered = within[:, None, :, None] & within[None, :, None, :]
    return np.where(covered, 0, 255).astype(np.uint8).reshape(-1, SIDE, SIDE)
