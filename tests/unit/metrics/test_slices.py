"""Slices: every image with ink is in one fifth, and the worst of them is found at its price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from harness.data import sources
from harness.errors import NotMeasurable
from harness.image_properties import PROPERTIES, measured
from harness.image_properties.slices import MIN_N, QUINTILES, slices
from harness.judging.gates import judge_all
from harness.metrics import evaluate, measure
from harness.records import CLEAN, NO_ANSWER, DataFacts, Evidence, Gate, Images, ModelFacts, Predictions, Scope
from harness.statistics.intervals import exact

DIGITS = sources.load("embedded")
THICKNESS = Scope(property="thickness")


def evidence(wrong: Iterable[int] = (), images: Images = DIGITS.images) -> Evidence:
    """The embedded test digits, all read right but those at ``wrong``."""
    labels = DIGITS.labels[: len(images)]
    said = labels.astype(np.int8)
    said[list(wrong)] = NO_ANSWER
    model = ModelFacts("m", "0", 1, "Sequential", (), (), 0, (), "harness.references.preprocessing")
    sure = np.eye(10, dtype=np.float32)[labels]
    facts: DataFacts = replace(DIGITS.facts, n=len(images))
    return Evidence(model, facts, images, labels, Predictions({CLEAN: said}, sure, 1), {})


def thin(amount: int) -> Iterable[int]:
    """The thinnest digits."""
    return map(int, np.argsort(measured(DIGITS.images).values["thickness"])[:amount])


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_image_is_in_one_fifth(name: str) -> None:
    held = np.concatenate([one.members for one in slices(DIGITS.images, name)])

    assert sorted(held.tolist()) == list(range(len(DIGITS.images)))


@pytest.mark.parametrize("name", [name for name in PROPERTIES if name != "off_centre"])  # few different values
def test_fifths_are_about_equal(name: str) -> None:
    sizes = [len(one.members) for one in slices(DIGITS.images, name)]

    assert all(abs(size - len(DIGITS.images) / QUINTILES) <= 12 for size in sizes)


@pytest.mark.parametrize("name", PROPERTIES)
def test_equal_values_are_in_the_same_fifth(name: str) -> None:
    found = [one for one in slices(DIGITS.images, name) if len(one.members)]

    assert all(before.high < after.low for before, after in pairwise(found))


def test_an_image_without_ink_is_in_no_fifth() -> None:
    blank = DIGITS.images.copy()
    blank[7] = 0

    held = np.concatenate([one.members for one in slices(blank, "slant")])

    assert set(range(len(blank))) - set(held.tolist()) == {7}


def test_the_worst_slice_is_measured_and_named() -> None:
    found = measure(evidence(thin(30)), "worst_slice_accuracy", THICKNESS, 0.95)

    assert (found.part, found.n - (found.hits or 0)) == ("thinnest fifth", 30)


def test_that_all_slices_hold_is_shown_without_a_correction_and_that_one_fails_with_one() -> None:
    found = measure(evidence(thin(30)), "worst_slice_accuracy", THICKNESS, 0.95)
    hits = found.n - 30

    assert found.low == exact(hits, found.n, 0.95)[0]
    assert found.high == exact(hits, found.n, 1 - 0.05 / QUINTILES)[1]


def test_a_slice_with_too_few_images_leaves_the_gate_open_by_name() -> None:
    few = evidence(images=DIGITS.images[: 4 * MIN_N])

    with pytest.raises(NotMeasurable, match=f"the thinnest fifth holds 40 images, fewer than {MIN_N}"):
        measure(few, "worst_slice_accuracy", THICKNESS, 0.95)


def test_a_model_that_cannot_read_thin_digits_is_stopped_and_they_are_named() -> None:
    gate = Gate("g", "worst_slice_accuracy", "at_least", 0.9, "x", THICKNESS)

    (finding,) = judge_all(evaluate(evidence(thin(60)), [gate]))

    assert finding.status == "failed"
    assert finding.reason.startswith("worst slice accuracy by thickness (thinnest fifth) is 70.")
