"""Bounds of differences are wrong at most as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.statistics.paired import from_cells, from_losses
from tests.unit.statistics.test_paired import likely_cells, macro_f1


def luck(times: int) -> float:
    """By how much a share of 5 % of so many simulations may come out too high."""
    return 2.6 * math.sqrt(0.05 * 0.95 / times)


@pytest.mark.parametrize(("n", "discordance", "lean"), [(1_000, 0.01, 0.0), (1_000, 0.05, -0.5)])
def test_bounds_of_a_difference_of_macro_f1_are_wrong_at_most_as_often_as_they_say(
    n: int, discordance: float, lean: float
) -> None:
    chance = likely_cells(discordance, lean)
    truth = float(macro_f1(chance.sum(axis=1)) - macro_f1(chance.sum(axis=2)))
    seen = np.random.default_rng(4).multinomial(n, chance.reshape(-1), size=120).reshape(-1, *chance.shape)

    bounds = np.array([from_cells(cells, macro_f1).bounds(0.95)[0] for cells in seen])

    assert max((bounds[:, 0] > truth).mean(), (bounds[:, 1] < truth).mean()) <= 0.05 + luck(120)


@pytest.mark.parametrize("n", [100, 1_000])
def test_bounds_of_a_difference_of_losses_are_wrong_at_most_as_often_as_they_say(n: int) -> None:
    rng = np.random.default_rng(6)
    ours, theirs = (rng.lognormal(-6, 2.5, size=50_000).clip(max=16.0) for _ in range(2))
    truth = ours.mean() - theirs.mean()

    drawn = (rng.integers(0, 50_000, n) for _ in range(80))
    bounds = np.array([from_losses(ours[at], theirs[at], worst=16.0).bounds(0.95)[0] for at in drawn])

    assert max((bounds[:, 0] > truth).mean(), (bounds[:, 1] < truth).mean()) <= 0.05 + luck(80)
