"""Holm's procedure is that of statsmodels."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from harness.statistics.intervals import holm


@settings(deadline=None, max_examples=10)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    theirs = multipletests(p_values, method="holm")[1]

    assert holm(p_values) == pytest.approx(tuple(theirs))
