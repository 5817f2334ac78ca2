"""Bounds are wrong at most as often as they say, in worlds whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.metrics import measure
from harness.records import Scope
from harness.statistics import reliability
from tests.unit.metrics.test_calibration import World, of


@pytest.mark.parametrize("power", [1.0, 3.0, 0.7], ids=["calibrated", "too_sure", "not_sure_enough"])
@pytest.mark.parametrize("n", [1000, 10_000])
def test_the_bounds_hold_the_true_error_as_often_as_they_say(power: float, n: int) -> None:
    """Each one-sided at 95 %; the truth is that of the bins the images made, among 100,000 others."""
    world, runs = World(0.05, power), 200
    _, told_to_others, truths = world.draw(100_000, seed=5)
    of_others = reliability.confidences(told_to_others)
    held = dict.fromkeys(("expected low", "expected high", "debiased low", "debiased high"), 0)
    for seed in range(runs):
        labels, probabilities, _ = world.draw(n, seed=100 + seed)
        shown, made = of(labels, probabilities), reliability.bins(labels, probabilities)
        at = np.minimum(np.searchsorted(made.most, of_others), len(made.n) - 1)
        size = np.bincount(at)
        gaps = np.bincount(at, of_others - truths) / size
        true = {"expected": (size * abs(gaps)).sum() / 1e5, "debiased": math.sqrt((size * gaps**2).sum() / 1e5)}
        for name, truth in true.items():
            found = measure(shown, f"{name}_calibration_error", Scope(), 0.95)
            held[f"{name} low"] += found.low <= truth + 1e-4
            held[f"{name} high"] += found.high >= truth

    assert min(held.values()) >= 0.94 * runs, held
