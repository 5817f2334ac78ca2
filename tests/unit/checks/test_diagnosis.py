"""What stands where probabilities should is named for what it is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.checks import diagnosis

SCORES = np.random.default_rng(0).normal(0, 4, (200, 10)).astype(np.float32)
CHANCES = (np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("answers", "named"),
    [
        (CHANCES.astype(np.float16).astype(np.float32), "half precision"),
        (1 / (1 + np.exp(-SCORES)), "not sigmoid"),
        (SCORES, "logits"),
        (np.log(CHANCES), "logarithms"),
    ],
)
def test_what_is_no_probability_is_named(answers: NDArray[np.float32], named: str) -> None:
    assert named in diagnosis.probabilities(answers)


def test_probabilities_are_left_unnamed() -> None:
    assert diagnosis.probabilities(CHANCES) == ""
