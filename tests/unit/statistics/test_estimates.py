"""Four kinds of estimate: bounds that hold as often as they say, and p-values that agree with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.records import CLASSES, Rule
from harness.statistics.estimates import (
    Counts,
    Estimate,
    F1Share,
    Resampled,
    Scores,
    Share,
    WorstOf,
    from_counts,
)
from harness.statistics.intervals import agresti_coull, exact, p_below

unhurried = settings(deadline=None, max_examples=60)
thresholds = st.floats(0.01, 0.99)
shares = st.integers(1, 400).flatmap(lambda n: st.builds(Share, st.integers(0, n), st.just(n)))
several = st.lists(shares, min_size=2, max_size=12)
extremes = st.builds(WorstOf, several, st.sampled_from(["at_least", "at_most"]))


def test_a_share_decides_on_the_exact_bounds() -> None:
    assert Share(97, 100).bounds(0.95)[0] == exact(97, 100, 0.95)


def test_a_share_shows_the_interval_of_agresti_and_coull() -> None:
    assert Share(97, 100).display()[0] == agresti_coull(97, 100, 0.95)


def test_a_share_of_no_images_cannot_be_made() -> None:
    with pytest.raises(NotMeasurable):
        Share(0, 0)


@unhurried
@given(shares | st.builds(F1Share, shares), thresholds, st.sampled_from(["at_least", "at_most"]))
def test_the_p_value_is_small_just_when_the_bound_misses_the_threshold(
    estimate: Estimate, threshold: float, rule: Rule
) -> None:
    (low, high), _ = estimate.bounds(0.95)

    missed = high < threshold if rule == "at_least" else low > threshold

    assert (estimate.p_value(rule, threshold) < 0.05) == missed


@unhurried
@given(extremes, thresholds)
def test_the_p_value_of_an_extreme_agrees_with_its_corrected_bound(estimate: WorstOf, threshold: float) -> None:
    (low, high), _ = estimate.bounds(0.95)

    missed = high < threshold if estimate.rule == "at_least" else low > threshold

    assert (estimate.p_value(estimate.rule, threshold) < 0.05) == missed


@unhurried
@given(several, thresholds)
def test_the_other_p_value_of_an_extreme_agrees_with_its_uncorrected_bound(
    shares: list[Share], threshold: float
) -> None:
    lowest = WorstOf(shares, "at_least")
    (low, _), _ = lowest.bounds(0.95)

    assert (lowest.p_value("at_most", threshold) < 0.05) == (low > threshold)


def test_the_p_value_of_the_lowest_of_two_shares_is_twice_the_smaller_one() -> None:
    lowest = WorstOf([Share(90, 100), Share(99, 100)], "at_least")

    assert lowest.p_value("at_least", 0.95) == 2 * p_below(90, 100, 0.95)


def test_the_lowest_share_is_as_low_as_its_weakest_member_could_be() -> None:
    lowest = WorstOf([Share(99, 100), Share(995, 1_000)], "at_least")

    assert lowest.bounds(0.95)[0] == (exact(99, 100, 0.95)[0], exact(995, 1_000, 0.975)[1])


def test_the_highest_share_mirrors_the_lowest() -> None:
    lowest = WorstOf([Share(99, 100), Share(980, 1_000)], "at_least").bounds(0.95)[0]
    highest = WorstOf([Share(1, 100), Share(20, 1_000)], "at_most").bounds(0.95)[0]

    assert highest == pytest.approx((1 - lowest[1], 1 - lowest[0]))


@unhurried
@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_an_overlap_is_f1(both: int, only_true: int, only_said: int) -> None:
    if both + only_true + only_said == 0:
        return

    overlap = F1Share(Share(both, both + only_true + only_said))

    assert overlap.value == pytest.approx(2 * both / (2 * both + only_true + only_said))


def test_a_perfect_score_on_few_images_is_not_proof_of_perfection() -> None:
    perfect = np.eye(CLASSES, CLASSES + 1, dtype=np.int64) * 10

    (low, high), _ = from_counts(perfect, macro_recall).bounds(0.95)

    assert (low < exact(100, 100, 0.95)[0] + 0.005, high) == (True, 1.0)


def test_a_draw_without_a_score_counts_against_either_bound() -> None:
    scarce = np.eye(CLASSES, CLASSES + 1, dtype=np.int64) * 500
    scarce[0, 1] = 500
    scarce[3] = 0
    scarce[3, 3] = 1

    assert from_counts(scarce, macro_recall).bounds(0.95)[0] == (0.0, 1.0)


def test_equal_counts_give_equal_bounds() -> None:
    counts = np.random.default_rng(1).integers(1, 50, (CLASSES, CLASSES + 1))

    assert from_counts(counts, macro_recall).bounds(0.9) == from_counts(counts.copy(), macro_recall).bounds(0.9)


@pytest.mark.parametrize(("rule", "threshold"), [("at_least", 0.9), ("at_most", 0.1)])
def test_the_p_value_of_draws_that_all_miss_is_one_in_one_more_than_the_draws(rule: Rule, threshold: float) -> None:
    draws: NDArray[np.float64] = np.full(99, 0.5)

    assert Resampled(0.5, 10, draws, draws).p_value(rule, threshold) == 1 / 100


@pytest.mark.parametrize(("rule", "threshold"), [("at_least", 0.6), ("at_most", 0.4)])
def test_a_threshold_that_no_draw_comes_near_has_the_p_value_of_a_normal_curve(rule: Rule, threshold: float) -> None:
    draws = np.tile([0.48, 0.52], 1_000)

    assert Resampled(0.5, 10, draws, draws).p_value(rule, threshold) == pytest.approx(2.87e-7, rel=0.01)


@pytest.mark.parametrize(("rule", "threshold"), [("at_least", 0.55), ("at_most", 0.45)])
def test_evidence_of_a_miss_is_read_off_the_draws_of_the_favourable_bound(rule: Rule, threshold: float) -> None:
    lows, highs = np.full(99, 0.4), np.full(99, 0.6)

    assert Resampled(0.5, 10, lows, highs).p_value(rule, threshold) == 1.0


def test_an_interval_holds_its_value_even_where_all_draws_lie_beside_it() -> None:
    draws: NDArray[np.float64] = np.full(99, 0.5)

    assert Resampled(0.6, 10, draws, draws).bounds(0.95)[0] == (0.5, 0.6)


def macro_recall(counts: Counts | Scores) -> Scores:
    sizes = counts.sum(axis=-1)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    mean: Scores = np.divide(right, sizes, out=np.full(right.shape, np.nan), where=sizes > 0).mean(axis=-1)
    return mean


def chances(right: float) -> Scores:
    """Draw the chance of each (true, said), for a model right this often and whose errors are unevenly spread."""
    cells = np.random.default_rng(2).dirichlet(np.full(CLASSES + 1, 0.3), size=CLASSES)
    np.fill_diagonal(cells, 0)
    cells *= (1 - right) / CLASSES / cells.sum(axis=1, keepdims=True)
    np.fill_diagonal(cells, 1 / CLASSES - cells.sum(axis=1))
    return cells


def luck(trials: int) -> float:
    """Three standard errors of a count of 5 % misses."""
    return float(3 * np.sqrt(0.05 * 0.95 / trials))
