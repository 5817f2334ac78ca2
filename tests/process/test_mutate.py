"""Faults planted in the candidate's own process, and taken out again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.candidate.mutation import MUTATIONS
from harness.candidate.mutation.weights import in_probabilities
from harness.candidate.parent.subject import Subject
from harness.errors import Unmutable
from harness.records import Dataset
from harness.run.mutant import MOVED

OF_WEIGHTS = [name for name, one in MUTATIONS.items() if one.family == "weights"]


@pytest.fixture(scope="module")
def subject(reference_model: Path, fork_server: Path) -> Iterator[Subject]:
    with Subject.start(reference_model) as started:
        yield started


def test_every_fault_of_the_weights_moves_answers_and_leaves_none_behind(subject: Subject, embedded: Dataset) -> None:
    images = embedded.images[:200]
    before = subject.predict(images)
    moved = {}
    for name in OF_WEIGHTS:
        operator = MUTATIONS[name]
        subject.mutate(name, operator.nil, operator.seeds[0])
        assert np.allclose(subject.predict(images), before, rtol=0, atol=1e-5), name
        subject.mutate(name, operator.ladder[-1], operator.seeds[0])
        moved[name] = not np.allclose(subject.predict(images), before, rtol=0, atol=1e-3)

    subject.mutate()

    assert set(moved.values()) == {True}, moved
    assert np.array_equal(subject.predict(images), before)


@pytest.mark.parametrize("name", [name for name in OF_WEIGHTS if MUTATIONS[name].of_logits])
def test_a_fault_of_the_logits_follows_from_the_probabilities_without_it(
    name: str, subject: Subject, embedded: Dataset
) -> None:
    operator, images = MUTATIONS[name], embedded.images[:300]
    subject.mutate()
    before = subject.predict(images)

    for strength in operator.ladder:
        for seed in {*operator.seeds, *operator.turns}:
            subject.mutate(name, strength, seed)
            computed = in_probabilities(operator.function, before, strength, seed)
            assert np.allclose(computed, subject.predict(images), rtol=0, atol=MOVED), (strength, seed)
    subject.mutate()


def test_a_second_loading_has_the_fault_too(subject: Subject, embedded: Dataset) -> None:
    subject.mutate("class_suppressed", 2.5, 8)

    fresh, own = (subject.predict(embedded.images[:50], fresh=fresh) for fresh in (True, False))
    subject.mutate()

    assert np.allclose(fresh, own, atol=1e-6)


def test_a_fault_of_the_preprocessing_replaces_the_function(subject: Subject) -> None:
    subject.mutate("one_hot_of_nine", 1.0)
    nine = subject.one_hot(np.arange(10)).values
    subject.mutate("normalize_in_place", 1.0)
    changed = subject.normalize(np.full((2, 28, 28), 200, np.uint8)).modified
    subject.mutate()

    assert nine.shape == (10, 9)
    assert changed
    assert subject.one_hot(np.arange(10)).values.shape == (10, 10)


def test_of_strength_nil_no_fault_of_the_preprocessing_changes_a_function(subject: Subject) -> None:
    pixels, digits = np.full((2, 28, 28), 200, np.uint8), np.arange(10)
    before = subject.normalize(pixels).values, subject.one_hot(digits).values
    for name in [one.name for one in MUTATIONS.values() if one.family == "preprocessing"]:
        subject.mutate(name, MUTATIONS[name].nil)
        normalized, encoded = subject.normalize(pixels), subject.one_hot(digits)
        assert not normalized.modified, name
        assert np.array_equal(normalized.values, before[0]), name
        assert np.array_equal(encoded.values, before[1]), name

    subject.mutate()


def test_a_model_without_weights_says_so(lite_models: Path, fork_server: Path, embedded: Dataset) -> None:
    with Subject.start(lite_models / "float.tflite") as lite:
        with pytest.raises(Unmutable, match="no weights are to be had"):
            lite.mutate("quantise", 4)
        assert lite.predict(embedded.images[:3]).shape == (3, 10)
