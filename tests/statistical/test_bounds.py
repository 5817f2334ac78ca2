"""Bounds are wrong at most as often as they say, in worlds whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.judging import contamination
from harness.metrics import measure
from harness.metrics.diagnostics import area_bounds, risk_coverage_area
from harness.records import CLASSES, Scope
from harness.statistics import reliability
from harness.statistics.estimates import F1Share, Share, from_counts, from_losses, from_scores
from harness.statistics.intervals import exact, paired
from tests.unit.judging.test_contamination import ZEROS, answered
from tests.unit.metrics.test_calibration import World, of
from tests.unit.metrics.test_corruption_error import images_right, losses_of_images, misses
from tests.unit.metrics.test_diagnostics import answered as surely
from tests.unit.metrics.test_diagnostics import one_by_one
from tests.unit.statistics.test_estimates import chances, luck, macro_recall


@pytest.mark.parametrize("power", [1.0, 3.0, 0.7], ids=["calibrated", "too_sure", "not_sure_enough"])
@pytest.mark.parametrize("n", [1000, 10_000])
def test_the_bounds_hold_the_true_error_as_often_as_they_say(power: float, n: int) -> None:
    """Check each bound, one-sided at 95 %; the truth is that of the images' bins, among 100,000 others."""
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


@pytest.mark.parametrize("n", [100, 1_000])
def test_bounds_of_a_mean_over_trials_are_wrong_at_most_as_often_as_they_say(n: int) -> None:
    population = images_right()
    rng = np.random.default_rng(7)

    bounds = np.array([from_scores(rng.choice(population, n)).bounds(0.95)[0] for _ in range(120)])

    assert misses(bounds, population.mean()) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)


def test_bounds_of_a_weighted_mean_over_trials_are_wrong_at_most_as_often_as_they_say() -> None:
    weights = np.linspace(0.3, 3, 15)
    population = losses_of_images(weights)
    rng = np.random.default_rng(8)

    bounds = np.array([from_losses(rng.choice(population, 500), weights.mean()).bounds(0.95)[0] for _ in range(150)])

    assert misses(bounds, population.mean()) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


@pytest.mark.parametrize(("n", "digits_share", "error"), [(100, 0.1, 0.05), (1_000, 0.1, 0.01), (10_000, 0.09, 0.002)])
def test_bounds_of_f1_are_wrong_at_most_as_often_as_they_say(n: int, digits_share: float, error: float) -> None:
    both, missed, false = digits_share * (1 - error), digits_share * error, digits_share * error / 2
    truth = 2 * both / (2 * both + missed + false)
    rng = np.random.default_rng(3)

    seen = rng.multinomial(n, [both, missed, false, 1 - both - missed - false], size=3_000)
    bounds = np.array([F1Share(Share(int(row[0]), int(row[:3].sum()))).bounds(0.95)[0] for row in seen])

    assert max((bounds[:, 0] > truth).mean(), (bounds[:, 1] < truth).mean()) <= 0.05 + luck(3_000)


@pytest.mark.parametrize(("n", "right"), [(100, 0.97), (100, 0.999), (1_000, 0.99), (1_000, 0.999)])
def test_bounds_of_a_macro_average_are_wrong_at_most_as_often_as_they_say(n: int, right: float) -> None:
    cells = chances(right)
    truth = float(macro_recall(cells[None])[0])
    rng = np.random.default_rng(4)

    seen = rng.multinomial(n, cells.reshape(-1), size=150).reshape(-1, CLASSES, CLASSES + 1)
    bounds = np.array(
        [from_counts(counts, macro_recall).bounds(0.95)[0] for counts in seen if counts.any(axis=1).all()]
    )

    assert max((bounds[:, 0] > truth).mean(), (bounds[:, 1] < truth).mean()) <= 0.05 + luck(150)


@pytest.mark.parametrize("n", [100, 1_000])
def test_bounds_of_a_mean_loss_are_wrong_at_most_as_often_as_they_say(n: int) -> None:
    population = np.random.default_rng(6).lognormal(-6, 2.5, size=50_000).clip(max=16.0)
    rng = np.random.default_rng(5)

    bounds = np.array([from_losses(rng.choice(population, n), worst=16.0).bounds(0.95)[0] for _ in range(80)])
    wrong = max((bounds[:, 0] > population.mean()).mean(), (bounds[:, 1] < population.mean()).mean())

    assert wrong <= 0.05 + luck(80)


@pytest.mark.parametrize(("n", "threshold"), [(892, 0.96), (10_000, 0.985), (10_000, 0.999)])
def test_a_model_exactly_at_its_threshold_is_released_in_at_most_one_of_twenty_test_sets(
    n: int, threshold: float
) -> None:
    hits = np.random.default_rng(3).binomial(n, threshold, size=2_000)

    released = np.mean([exact(int(hit), n, 0.95)[0] >= threshold for hit in hits])

    assert released <= 0.05


@pytest.mark.parametrize(("n", "discordance", "margin"), [(10_000, 0.0035, 0.004), (1_000, 0.03, 0.02)])
def test_a_model_a_whole_margin_worse_is_released_in_at_most_six_of_a_hundred_test_sets(
    n: int, discordance: float, margin: float
) -> None:
    """Tango's score is not exact: up to 5.8 % where 5 % is said."""
    rng = np.random.default_rng(3)
    drawn = rng.multinomial(n, [margin + discordance / 2, discordance / 2, 1 - margin - discordance], size=2_000)

    released = np.mean([paired(int(b), int(c), n, 0.90)[0] >= -margin for b, c, _ in drawn])

    assert released <= 0.06


def test_the_bound_of_images_seen_before_holds_19_times_in_20() -> None:
    rng = np.random.default_rng(5)
    asked = [answered((3.4, 3.2, 3.0), rng) for _ in range(300)]
    told = [contamination.beside(ZEROS, test, [turned], ZEROS, train) for test, turned, train in asked]
    truth = float(np.median([ratio for ratio, _ in told]))

    assert 0.91 <= np.mean([low <= truth for _, low in told]) <= 0.98
    assert 1 < np.mean([low for _, low in told]) < truth


def test_the_interval_of_the_area_under_the_risk_curve_covers() -> None:
    rng = np.random.default_rng(1)
    truth = np.mean([one_by_one(*surely(200_000, rng)) for _ in range(5)])

    found = [risk_coverage_area(*surely(2000, rng)) for _ in range(600)]

    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.92


@pytest.mark.parametrize("apart", [1.0, 2.5])
def test_the_interval_of_an_area_covers(apart: float) -> None:
    from scipy.special import ndtr

    rng = np.random.default_rng(2)
    truth = float(ndtr(apart / np.sqrt(2)))
    held = []
    for _ in range(1000):
        positive, negative = rng.normal(apart, 1, 100), rng.normal(0, 1, 900)
        area = float((positive[:, None] > negative).mean())
        low, high = area_bounds(positive, negative, area)
        held.append(low <= truth <= high)

    assert np.mean(held) == pytest.approx(0.95, abs=0.025)
