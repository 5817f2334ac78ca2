"""The best of several equally good models looks better than it is."""

from __future__ import annotations

import numpy as np
import pytest

from harness.statistics import best_of


def test_the_best_of_equal_independent_models_looks_better_than_it_is_and_copies_do_not() -> None:
    rng = np.random.default_rng(0)
    apart = rng.random((20, 4000)) < 0.95
    copies = np.repeat(apart[:1], 20, 0)
    bound = best_of.independent(20, float(np.sqrt(0.95 * 0.05 / 4000)))

    far, near = best_of.resampled(apart, None), best_of.resampled(copies, None)

    assert far.mean == pytest.approx(bound.mean, rel=0.1)
    assert far.luck == pytest.approx(bound.luck, abs=0.1)
    assert bound.luck == pytest.approx(1 - 0.95**20)
    assert abs(near.mean) < bound.mean / 10
    assert near.luck == pytest.approx(0.05, abs=0.02)


def test_units_that_err_together_make_the_best_look_better() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(100), 40)
    right = np.repeat(rng.random((5, 100)) < 0.95, 40, axis=1)

    assert best_of.resampled(right, codes).mean > 4 * best_of.resampled(right, None).mean


def test_units_that_err_together_widen_the_bound_of_independent_models() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(100), 40)
    right = np.repeat(rng.random(100) < 0.95, 40)

    assert best_of.deviation(right, None) == pytest.approx(np.sqrt(right.mean() * (1 - right.mean()) / 4000), rel=0.1)
    assert best_of.deviation(right, codes) > 4 * best_of.deviation(right, None)
