"""Candidate minus baseline: bounds that hold as often as they say, and that agree with their p-values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.records import CLASSES, Rule
from harness.statistics.estimates import Counts, Scores
from harness.statistics.intervals import paired
from harness.statistics.paired import Pairs, WorstPairs, from_cells, from_losses, from_scores, pairs

SAID = CLASSES + 1


def macro_f1(counts: Counts) -> Scores:
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    scores: Scores = (2 * right / (counts.sum(axis=-1) + counts.sum(axis=-2)[..., :CLASSES])).mean(axis=-1)
    return scores


def likely_cells(discordance: float, lean: float) -> NDArray[np.float64]:
    """Chances of (true, said by baseline, said by candidate): mistakes are one digit up, 1 % are shared."""
    chance = np.zeros((CLASSES, SAID, SAID))
    for true in range(CLASSES):
        wrong = (true + 1) % CLASSES
        chance[true, wrong, wrong] = 0.01
        chance[true, true, wrong] = discordance * (1 - lean) / 2
        chance[true, wrong, true] = discordance * (1 + lean) / 2
        chance[true, true, true] = 0.99 - discordance
    whole: NDArray[np.float64] = chance / chance.sum()
    return whole


def test_who_is_right_is_counted_image_by_image() -> None:
    candidate = np.array([True, True, False, False, True])
    baseline = np.array([True, False, True, True, True])

    assert pairs(candidate, baseline) == Pairs(broken=2, fixed=1, n=5)


def test_two_models_right_on_the_same_images_still_leave_doubt() -> None:
    low, high = Pairs(0, 0, 1_000).bounds(0.95)[0]

    assert (low, high) == pytest.approx(paired(0, 0, 1_000, 0.90))
    assert low < 0 < high


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 60), st.integers(0, 60), st.floats(-0.05, 0.05), st.sampled_from(["at_least", "at_most"]))
def test_the_p_value_is_small_just_when_the_bound_misses_the_threshold(
    broken: int, fixed: int, threshold: float, rule: Rule
) -> None:
    found = Pairs(broken, fixed, 1_000)
    low, high = found.bounds(0.95)[0]
    if min(abs(low - threshold), abs(high - threshold)) < 1e-9:
        return

    missed = high < threshold if rule == "at_least" else low > threshold

    assert (found.p_value(rule, threshold) < 0.05) == missed


def test_a_difference_of_nothing_from_next_to_nothing_is_no_miss() -> None:
    assert Pairs(0, 0, 1_000).p_value("at_most", -2.2e-308) == 0.5


def test_the_lowest_of_several_differences_decides_and_says_which_it_is() -> None:
    found = WorstPairs([Pairs(2, 4, 200), Pairs(9, 1, 200), Pairs(0, 0, 200)], ["thin", "usual", "thick"])

    assert (found.value, found.n, found.part) == (-0.04, 200, "usual")
    assert found.bounds(0.95)[0][0] == Pairs(9, 1, 200).bounds(0.95)[0][0]
    assert found.bounds(0.95)[0][1] > Pairs(9, 1, 200).bounds(0.95)[0][1]
    assert found.p_value("at_least", 0.0) == pytest.approx(3 * Pairs(9, 1, 200).p_value("at_least", 0.0))


def test_turning_the_models_around_turns_a_difference_of_macro_f1_around() -> None:
    cells = (
        np.random.default_rng(4).multinomial(2_000, likely_cells(0.03, 0.3).reshape(-1)).reshape(CLASSES, SAID, SAID)
    )

    found, turned = (from_cells(one, macro_f1) for one in (cells, cells.transpose(0, 2, 1).copy()))

    assert turned.value == pytest.approx(-found.value)
    assert turned.bounds(0.95)[0][0] == pytest.approx(-found.bounds(0.95)[0][1], abs=5e-4)


def test_equal_confusion_is_not_proof_of_equality() -> None:
    chance = likely_cells(0.0, 0.0)
    cells = np.round(1_000 * chance).astype(np.int64)

    (low, high), _ = from_cells(cells, macro_f1).bounds(0.95)

    assert -0.006 < low < 0 < high < 0.006


def test_equal_losses_differ_by_nothing_but_doubt() -> None:
    losses = np.linspace(0, 3, 500)

    found = from_losses(losses, losses, worst=16.0)

    assert found.value == 0
    assert found.bounds(0.95)[0][0] < 0 < found.bounds(0.95)[0][1]


def test_a_better_score_is_a_positive_difference() -> None:
    found = from_scores(np.full(400, 0.9), np.full(400, 0.7))

    assert found.value == pytest.approx(0.2)
    assert found.bounds(0.95)[0][0] > 0.18


@pytest.mark.parametrize(
    "measure",
    [
        lambda: Pairs(0, 0, 0),
        lambda: from_cells(np.zeros((CLASSES, SAID, SAID), np.int64), macro_f1),
        lambda: from_losses(np.zeros(0), np.zeros(0), worst=1.0),
    ],
)
def test_a_difference_on_no_images_is_not_a_number(measure: type[object]) -> None:
    with pytest.raises(NotMeasurable, match="no images"):
        measure()
