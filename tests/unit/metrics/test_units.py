"""Units of the images of every number: no metric and no difference of two models loses them on its way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.metrics import METRICS, estimate, evaluate
from harness.metrics.registry import parts_of
from harness.records import Baseline, BaselineFacts, Evidence, Gate, Groups, Scope
from harness.statistics.estimates import Estimate
from tests.support import samples
from tests.unit.metrics.test_metrics import fitting, some_mistakes

OF_IMAGES = [name for name, entry in METRICS.items() if entry.of != "units"]
COMPARED = [name for name in OF_IMAGES if METRICS[name].change is not None]


def in_pairs(shown: Evidence) -> Evidence:
    """The same images in units of two: each with the one half of the data further on."""
    n = len(shown.labels)
    codes = np.concatenate([np.arange(n - n // 2), np.arange(n // 2)]).astype(np.int32)
    inked = 20 + 5 * (np.arange(n) % (n // 2) % 100)  # pixels, as many in each image of a unit
    images = np.where(np.arange(784) < inked[:, None], 255, 0).astype(np.uint8).reshape(n, 28, 28)
    drawn = dict.fromkeys(shown.answers, "")
    return samples.answering(shown, drawn=drawn, images=images, groups=Groups("writer", codes))


def alone(shown: Evidence) -> Evidence:
    return replace(shown, groups=None)


def wider(known: Estimate, unknown: Estimate) -> bool:
    (low, high), _ = known.bounds(0.95)
    (least, most), _ = unknown.bounds(0.95)
    return low <= least + 1e-12 and high >= most - 1e-12


@pytest.mark.parametrize("metric", OF_IMAGES)
def test_a_metric_has_the_design_effect_of_its_units(metric: str) -> None:
    shown = in_pairs(some_mistakes(copies=12))

    known, unknown = (estimate(each, metric, fitting(metric)) for each in (shown, alone(shown)))

    assert all(part.effect is not None for part in parts_of(known))
    assert unknown.effect is None
    assert known.value == unknown.value
    assert wider(known, unknown)


def beside(shown: Evidence, others: int) -> Evidence:
    """The same images answered by a release that is right where the candidate is wrong, and by others."""
    right = samples.answering(
        shown, answers={trial: shown.labels.astype(np.int8) for trial in shown.answers}
    ).predictions
    facts = BaselineFacts("last.keras", "0" * 64, shown.data.sha256, shown.seed)
    run = replace(right, drawn=shown.predictions.drawn)
    return replace(shown, baseline=Baseline(facts, run, pool=(run,) * others))


@pytest.mark.parametrize("others", [0, 2])
@pytest.mark.parametrize("metric", COMPARED)
def test_a_difference_has_the_design_effect_of_its_units(metric: str, others: int) -> None:
    shown = beside(in_pairs(some_mistakes(copies=12)), others)
    gate = Gate("g", metric, METRICS[metric].rule, -0.5, "x", fitting(metric), against="baseline")

    known, unknown = (evaluate(each, [gate]).estimates["g"] for each in (shown, alone(shown)))

    assert all(part.effect is not None for part in parts_of(known))
    assert unknown.effect is None
    assert wider(known, unknown)


def test_fewer_images_keep_their_units() -> None:
    shown = in_pairs(some_mistakes(copies=12))

    half = shown.subset(np.arange(len(shown.labels)) % 3 == 0)

    assert half.codes is not None
    assert len(half.codes) == len(half.labels)
    assert estimate(half, "accuracy", Scope()).n == len(half.labels)
