"""Areas under curves: their values are those of scikit-learn, their intervals cover, and they decide nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from harness import metrics
from harness.metrics.diagnostics import area_bounds, diagnostics, risk_coverage_area
from harness.records import Scope
from harness.statistics.estimates import Scores
from tests.support import samples


def one_by_one(sure: Scores, wrong: Scores) -> float:
    """The mean share of mistakes among the k surest, over k."""
    order = np.argsort(-sure)
    return float((np.cumsum(wrong[order]) / np.arange(1, len(sure) + 1)).mean())


def answered(n: int, rng: np.random.Generator) -> tuple[Scores, Scores]:
    """Confidences, and mistakes that are likelier where they are low."""
    sure = rng.beta(8, 1, n)
    return sure, (rng.random(n) < 0.2 * (1 - sure)).astype(np.float64)


def test_the_area_under_the_risk_curve_is_the_mean_over_all_shares_kept() -> None:
    sure, wrong = answered(500, np.random.default_rng(0))

    assert risk_coverage_area(sure, wrong).value == pytest.approx(one_by_one(sure, wrong))


def test_images_that_are_equally_sure_come_together() -> None:
    found = risk_coverage_area(np.full(10, 0.9), np.array([1.0] + [0.0] * 9))

    assert found.value == pytest.approx(0.1)


def test_without_a_mistake_the_area_is_not_shown_to_be_none() -> None:
    found = risk_coverage_area(np.linspace(0.5, 1, 100), np.zeros(100))

    assert (found.value, found.low) == (0, 0)
    assert 0 < found.high < 0.01


def test_the_areas_are_those_of_scikit_learn() -> None:
    _, shown = samples.allowed()

    found = {one.scope.digit: one for one in diagnostics(shown) if one.metric == "one_vs_rest_auc"}

    for digit in range(10):
        assert found[digit].value == pytest.approx(roc_auc_score(shown.labels == digit, shown.probabilities[:, digit]))
        assert found[digit].low < found[digit].value <= found[digit].high <= 1


def test_digits_that_are_all_told_apart_are_not_shown_to_be() -> None:
    low, high = area_bounds(np.array([0.9, 0.8]), np.array([0.1, 0.2, 0.3]), 1.0)

    assert (low, high) == pytest.approx((2 / 3, 1.0))


def test_outputs_that_are_no_probabilities_have_none() -> None:
    _, shown = samples.allowed()

    assert diagnostics(samples.answering(shown, probabilities=3 * shown.probabilities)) == ()


def test_no_gate_can_name_them() -> None:
    assert not {"one_vs_rest_auc", "risk_coverage_area"} & metrics.METRICS.keys()


def test_the_page_shows_them_with_their_intervals() -> None:
    from harness import report

    run, shown = samples.allowed()
    run = replace(run, diagnostics=diagnostics(shown))
    area = next(one for one in run.diagnostics if one.scope == Scope(digit=3))

    html = report.render(run, shown, samples.SESSION)

    assert f"{100 * area.low:.3f}"[:5] in html
    assert "and the mean from its surest image to all of them" in html
