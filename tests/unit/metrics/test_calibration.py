"""Calibration: equal to scikit-learn where it has the number, honest bounds, and no number where there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from harness.errors import NotMeasurable
from harness.evidence import baseline_file
from harness.metrics import METRICS, calibration, measure
from harness.metrics.changes import difference
from harness.records import CLASSES, Evidence, Labels, Probabilities, Scope
from harness.statistics import reliability
from harness.statistics.intervals import exact
from tests.unit.metrics.test_metrics import certain, evidence

OF_PROBABILITIES = sorted(name for name, entry in METRICS.items() if entry.estimate.__module__ == calibration.__name__)
unhurried = settings(deadline=None, max_examples=30)


@dataclass(frozen=True)
class World:
    """Images whose true chance of being answered right is known, told with a confidence that is another."""

    chance: float  # how hard: the share of images that are not easy
    power: float  # odds of the confidence over odds of the truth; 1 is calibrated

    def draw(self, n: int, seed: int) -> tuple[Labels, Probabilities, np.ndarray]:
        """Labels, probabilities, and (n,) the true chance of each answer."""
        rng = np.random.default_rng(seed)
        odds = np.exp(rng.normal(np.where(rng.random(n) < self.chance, 1.5, 8), 1.5))
        truth, odds = odds / (1 + odds), odds**self.power
        sure = np.maximum(odds / (1 + odds), 0.2)
        truth = np.maximum(truth, 0.2)
        said = rng.integers(0, CLASSES, n)
        labels = np.where(rng.random(n) < truth, said, (said + 1) % CLASSES).astype(np.uint8)
        return labels, told(said, sure), truth


def told(said: np.ndarray, sure: np.ndarray) -> Probabilities:
    """Rows that give ``sure`` to the digit that is said, and share out the rest."""
    rows = np.repeat(((1 - sure) / (CLASSES - 1))[:, None], CLASSES, axis=1)
    rows[np.arange(len(said)), said] = sure
    return rows.astype(np.float32)


def of(labels: Labels, probabilities: Probabilities) -> Evidence:
    return evidence(labels, probabilities.argmax(axis=1), probabilities)


def value(metric: str, labels: Labels, probabilities: Probabilities) -> float:
    return measure(of(labels, probabilities), metric, Scope(), 0.95).value


@pytest.fixture(scope="module")
def told_1500() -> tuple[Labels, Probabilities]:
    labels, probabilities, _ = World(1.0, 1.3).draw(1500, seed=1)
    return labels, probabilities


def test_the_bins_equal_scikit_learns_calibration_curve(told_1500: tuple[Labels, Probabilities]) -> None:
    sure, right = reliability.confidences(told_1500[1]), reliability.right(*told_1500)
    true, predicted = calibration_curve(right, sure, n_bins=15, strategy="quantile")

    ours = reliability.bins(*told_1500)

    assert ours.accuracy == pytest.approx(true, abs=1e-12)
    assert ours.confidence == pytest.approx(predicted, abs=1e-12)


def test_the_expected_error_is_the_weighted_distance_in_the_bins(told_1500: tuple[Labels, Probabilities]) -> None:
    true, predicted = calibration_curve(
        reliability.right(*told_1500), reliability.confidences(told_1500[1]), n_bins=15, strategy="quantile"
    )

    assert value("expected_calibration_error", *told_1500) == pytest.approx(abs(true - predicted).mean())


def test_the_maximum_error_is_the_largest_distance_in_the_bins(told_1500: tuple[Labels, Probabilities]) -> None:
    true, predicted = calibration_curve(
        reliability.right(*told_1500), reliability.confidences(told_1500[1]), n_bins=15, strategy="quantile"
    )

    assert value("maximum_calibration_error", *told_1500) == pytest.approx(abs(true - predicted).max())


def test_the_debiased_error_takes_the_variance_of_each_bin_from_its_square() -> None:
    """Thirty images in two bins: ten at 0.6 of which five are right, twenty at 0.9 of which all are."""
    said, sure = np.zeros(30, int), np.repeat([0.6, 0.9], [10, 20])
    labels = np.repeat([1, 0], [5, 25]).astype(np.uint8)

    found = value("debiased_calibration_error", labels, told(said, sure))

    assert found == pytest.approx(math.sqrt((10 * (0.1**2 - 0.25 / 9) + 20 * 0.1**2) / 30), rel=1e-5)


def test_the_losses_of_the_images_add_up_to_the_expected_error(told_1500: tuple[Labels, Probabilities]) -> None:
    assert reliability.calibration_losses(*told_1500).mean() == pytest.approx(
        value("expected_calibration_error", *told_1500)
    )


def test_the_brier_score_equals_scikit_learns(told_1500: tuple[Labels, Probabilities]) -> None:
    labels, probabilities = told_1500
    rows = probabilities.astype(float)
    rows /= rows.sum(axis=1, keepdims=True)
    theirs = sk.brier_score_loss(labels, rows, labels=list(range(CLASSES)), scale_by_half=False)

    assert value("brier_score", labels, probabilities) == pytest.approx(theirs, abs=1e-6)


@unhurried
@given(st.randoms(use_true_random=False), st.sampled_from([1.0, 6.0]))
def test_the_order_of_the_images_does_not_matter(random: object, power: float) -> None:
    """Nor where hundreds of images are equally sure."""
    labels, probabilities, _ = World(0.1, power).draw(300, seed=2)
    order = np.random.default_rng(random.getrandbits(32)).permutation(300)  # type: ignore[attr-defined]

    ours = value("expected_calibration_error", labels[order], probabilities[order])

    assert ours == pytest.approx(value("expected_calibration_error", labels, probabilities), abs=1e-12)


def test_images_of_equal_confidence_share_a_bin_and_leave_the_others_theirs() -> None:
    sure = np.repeat([0.3, 0.5, 1.0], [4, 6, 90])

    at = reliability.places(sure)

    assert [set(at[sure == level]) for level in (0.3, 0.5, 1.0)] == [{0}, {1}, {8}]


def test_the_largest_gap_is_bounded_by_exact_bounds_of_its_bins() -> None:
    """One bin: a hundred images at 0.9, of which seventy are right."""
    labels = np.repeat([0, 1], [70, 30]).astype(np.uint8)

    found = measure(of(labels, told(np.zeros(100, int), np.full(100, 0.9))), "maximum_calibration_error", Scope(), 0.95)

    assert [found.value, found.n] == pytest.approx([0.2, 100])
    assert found.high == pytest.approx(0.9 - exact(70, 100, 0.95)[0])
    assert found.low == pytest.approx(0.9 - exact(70, 100, 0.975)[1])


def test_the_confidence_of_mistakes_is_of_the_mistakes_only() -> None:
    labels, said, sure = np.array([0, 1, 2, 3], np.uint8), np.array([0, 1, 9, 9]), np.array([1.0, 0.9, 0.8, 0.4])

    found = measure(of(labels, told(said, sure)), "confidence_of_mistakes", Scope(), 0.95)

    assert [found.value, found.n] == pytest.approx([0.6, 2])


def test_overconfidence_is_signed_and_within_its_interval() -> None:
    labels, said = np.zeros(40, np.uint8), np.repeat([0, 7], [38, 2])

    over, under = (
        measure(of(labels, told(said, np.full(40, sure))), "overconfidence", Scope(), 0.95) for sure in (0.99, 0.8)
    )

    assert [over.value, under.value] == pytest.approx([0.04, -0.15])
    assert over.low < 0.04 < over.high
    assert under.low < -0.15 < under.high < 0


def test_beside_a_baseline_that_is_not_sure_enough_a_certain_and_perfect_model_is_not_overconfident() -> None:
    labels = np.zeros(400, np.uint8)
    under, over = (told(np.where(np.arange(400) < 360, 0, 7), np.full(400, sure)) for sure in (0.8, 0.95))

    def change(candidate: Probabilities, last: Probabilities) -> float:
        beside = replace(of(labels, candidate), baseline=baseline_file.of(of(labels, last)))
        return difference(beside, "overconfidence", Scope()).value

    assert change(certain(labels), under) == pytest.approx(0.0, abs=1e-6)
    assert change(over, under) == pytest.approx(0.05, abs=1e-6)
    assert change(over, over) == 0.0


def test_without_a_mistake_there_is_no_confidence_of_mistakes() -> None:
    labels = np.arange(10, dtype=np.uint8)

    with pytest.raises(NotMeasurable, match="no mistake"):
        value("confidence_of_mistakes", labels, certain(labels))


def test_selective_accuracy_leaves_the_least_sure_to_a_person() -> None:
    """Leave out the two least sure of forty images, both wrong; a sure mistake stays in."""
    labels, said, sure = np.zeros(40, np.uint8), np.zeros(40, int), np.linspace(0.5, 0.99, 40)
    said[[0, 1, 30]] = 7

    found = measure(of(labels, told(said, sure)), "selective_accuracy", Scope(), 0.95)

    assert (found.hits, found.n) == (37, 38)


def test_a_model_that_is_equally_sure_of_everything_leaves_nothing_to_a_person() -> None:
    labels = np.repeat([0, 1], [70, 30]).astype(np.uint8)

    found = measure(of(labels, certain(np.zeros(100, int))), "selective_accuracy", Scope(), 0.95)

    assert (found.hits, found.n) == (70, 100)


def test_a_perfect_and_certain_model_has_no_error_but_does_not_prove_it() -> None:
    labels = np.tile(np.arange(10, dtype=np.uint8), 10)

    found = measure(of(labels, certain(labels)), "expected_calibration_error", Scope(), 0.95)

    assert (found.value, found.low) == (0.0, 0.0)
    assert 0.01 < found.high < 0.05


def test_a_certain_model_is_off_by_its_share_of_mistakes() -> None:
    labels = np.repeat([0, 1], [70, 30]).astype(np.uint8)

    assert value("expected_calibration_error", labels, certain(np.zeros(100, int))) == pytest.approx(0.3)


@pytest.mark.parametrize("metric", OF_PROBABILITIES)
@pytest.mark.parametrize("spoiled", [math.nan, math.inf, -0.1, 0.5])
def test_rows_that_are_no_probabilities_are_counted_and_give_no_number(metric: str, spoiled: float) -> None:
    labels = np.tile(np.arange(10, dtype=np.uint8), 3)
    probabilities = certain((labels + 1) % 10)
    probabilities[:4, 9] = spoiled

    with pytest.raises(NotMeasurable, match=r"[34] of 30 images got no probabilities"):
        value(metric, labels, probabilities)


def test_drawing_in_cells_is_the_bootstrap_over_images() -> None:
    labels, probabilities, _ = World(0.3, 2.0).draw(600, seed=3)
    sure, right = reliability.confidences(probabilities), reliability.right(labels, probabilities)
    at, rng = reliability.places(sure), np.random.default_rng(4)
    plain = []
    for _ in range(2000):
        drawn = rng.integers(0, 600, 600)
        plain.append(abs(np.bincount(at[drawn], (sure - right)[drawn])).sum() / 600)

    ours = abs(calibration._draw(of(labels, probabilities)).sums).sum(axis=1) / 600

    assert np.quantile(ours, [0.05, 0.5, 0.95]) == pytest.approx(np.quantile(plain, [0.05, 0.5, 0.95]), rel=0.04)


@pytest.mark.parametrize("digit", [0, 4, 9])
def test_one_against_the_rest_equals_scikit_learn(digit: int) -> None:
    labels, probabilities, _ = World(0.5, 6.0).draw(500, seed=6)
    false, true, _ = sk.roc_curve(labels == digit, probabilities[:, digit], drop_intermediate=False)

    ours = reliability.roc(labels, probabilities, digit)

    assert ours[0].tolist() == false.tolist()
    assert ours[1].tolist() == true.tolist()
    assert ours[2] == sk.auc(false, true)


def test_a_digit_without_images_has_no_curve() -> None:
    labels = np.zeros(5, np.uint8)

    with pytest.raises(NotMeasurable, match="no images of digit 3"):
        reliability.roc(labels, certain(labels), 3)


def test_the_risk_curve_counts_the_images_that_are_at_least_so_sure() -> None:
    labels, said, sure = np.zeros(4, np.uint8), np.array([0, 5, 0, 0]), np.array([0.9, 0.8, 0.8, 0.4])

    levels, counts = reliability.risk_curve(labels, told(said, sure))

    assert levels == pytest.approx([0.9, 0.8, 0.4])
    assert counts.tolist() == [[1, 0], [3, 1], [4, 1]]
