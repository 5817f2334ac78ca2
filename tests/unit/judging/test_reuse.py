"""Optimism of the best of many candidates on one test set, from their answers or from their number."""

from __future__ import annotations

import numpy as np
import pytest

from harness.judging import reuse
from harness.records import CLEAN, Evidence, Uses
from tests.support import samples

SHOWN = samples.evidence((), n=500)
FIVE = Uses(models=5, released=1, since="2026-11-22", policies=1)


def apart(seed: int) -> Evidence:
    """The same number of mistakes, on other images."""
    said = np.random.default_rng(seed).permutation(SHOWN.answers[CLEAN] == SHOWN.labels)
    answers = np.where(said, SHOWN.labels, (SHOWN.labels + 1) % 10).astype(np.int8)
    return samples.answering(SHOWN, answers={**SHOWN.answers, CLEAN: answers})


def test_models_that_are_all_at_hand_are_resampled_together() -> None:
    copies = reuse.with_luck(FIVE, SHOWN, [SHOWN] * 4)
    others = reuse.with_luck(FIVE, SHOWN, [apart(seed) for seed in range(4)])

    assert (copies.runs, others.runs) == (5, 5)
    assert abs(copies.best) < 0.001 < 0.005 < others.best < others.best_most
    assert copies.luck < others.luck


def test_where_a_run_is_missing_models_are_taken_to_be_independent() -> None:
    found = reuse.with_luck(FIVE, SHOWN, [apart(0)])

    assert found.runs == 0
    assert found.luck == pytest.approx(1 - 0.95**5)
    assert found.best > reuse.with_luck(FIVE, SHOWN, [SHOWN] * 4).best
