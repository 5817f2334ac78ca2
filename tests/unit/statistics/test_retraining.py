"""The margin from retraining, against numbers worked by hand."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest
from pydantic import TypeAdapter

from harness.records import RetrainingMargin
from harness.statistics.retraining import DEVIATIONS, Assumed, agrees, margin

ACCURACY = Assumed(0.08, 0.003)


def test_one_run_with_plain_mistakes_has_the_assumed_spread() -> None:
    found = margin([0.0257], 10_000, ACCURACY)

    assert found.assumed == pytest.approx(0.00235, abs=5e-6)
    assert found.value == pytest.approx(0.00996 * DEVIATIONS / 3, abs=1e-5)
    assert (found.own, found.deviation) == (None, found.assumed)


def test_one_run_with_few_mistakes_has_a_smaller_one() -> None:
    found = margin([0.0079], 10_000, ACCURACY)

    assert found.assumed == pytest.approx(0.00089, abs=5e-6)
    assert found.value == pytest.approx(0.00378 * DEVIATIONS / 3, abs=1e-5)


def test_five_quiet_runs_shrink_the_spread_until_the_floor_holds() -> None:
    step = 0.00047 * math.sqrt(2)  # of two runs, whose three sisters lie in their middle
    losses = [0.0079 - step, 0.0079, 0.0079, 0.0079, 0.0079 + step]

    found = margin(losses, 10_000, ACCURACY)

    assert found.own == pytest.approx(0.00047)
    assert found.deviation == pytest.approx(0.00071, abs=5e-6)
    assert 3 * found.deviation * math.sqrt(1.2) == pytest.approx(0.00234, abs=1e-5)
    assert found.value == 0.003


def test_noisy_runs_widen_it_though_less_than_by_themselves() -> None:
    found = margin([0.02, 0.03, 0.04], 10_000, ACCURACY)

    assert found.own == pytest.approx(0.01)
    assert found.assumed < found.deviation < 0.01


def test_without_mistakes_the_floor_holds() -> None:
    assert margin([0.0], 1_000, ACCURACY).value == 0.003


def test_a_mean_loss_has_no_luck_of_single_images() -> None:
    assert margin([0.1], 100, Assumed(0.08, 0.008, by_image=False)).assumed == pytest.approx(0.008)


def test_a_margin_that_was_changed_by_hand_does_not_agree_with_its_parts() -> None:
    found = margin([0.02, 0.03], 10_000, ACCURACY)

    assert agrees(found)
    assert not agrees(replace(found, value=5.0))
    assert not agrees(replace(found, deviation=1.0, deviations=9.0, value=11.02270))


def test_a_margin_of_three_deviations_that_was_accepted_earlier_stays() -> None:
    found = margin([0.0257], 10_000, ACCURACY)

    kept = {**asdict(found), "value": 0.00996}
    del kept["deviations"]  # which files of that time do not have
    read = TypeAdapter(RetrainingMargin).validate_python(kept)

    assert agrees(read)
    assert not agrees(replace(read, deviations=DEVIATIONS))
