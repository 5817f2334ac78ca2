"""Seen before? A model that loses much more on digits turned by 6 degrees than on the digits themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.evidence import storage as kept
from harness.evidence.sweep import answers_to_block, arrays_of
from harness.judging import contamination, verdict
from harness.records import CLEAN, LIGHT, Evidence, Probabilities
from harness.references import results
from tests.support import samples

ZEROS = np.zeros(2000, np.uint8)
FRESH, KNOWN = (3.4, 3.3), (5.0, 3.3)  # how far the truth is ahead, on the digits and on others like them


def answered(means: tuple[float, ...], rng: np.random.Generator, power: float = 1.0) -> list[Probabilities]:
    """Rows of sets of zeros, whose scores for zero are so far above those of the nine others, more or less."""
    rows = []
    for mean in means:
        ahead = rng.normal(mean, 2.0, len(ZEROS))
        scores = power * np.hstack([ahead[:, None], np.zeros((len(ZEROS), 9))])
        rows.append(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))
    return rows


def evidence(means: tuple[float, float], power: float = 1.0) -> Evidence:
    shown = samples.tiny()[1]
    rows, turned = answered(means, np.random.default_rng(6), power)
    images, answers = np.resize(shown.images, (len(ZEROS), 28, 28)), {CLEAN: ZEROS.astype(np.int8)}
    light = dict.fromkeys(LIGHT, turned)
    return samples.answering(shown, labels=ZEROS, images=images, answers=answers, probabilities=rows, light=light)


def on_mnist(shown: Evidence) -> Evidence:
    return replace(shown, data=replace(shown.data, sha256=results.load().data_sha256))


def test_a_model_that_loses_as_much_on_turned_copies_passes() -> None:
    found = contamination.finding(evidence(FRESH))

    assert found is not None
    assert found.status == "passed"


@pytest.mark.parametrize("power", [0.001, 1, 4])
def test_a_model_that_is_much_surer_of_the_test_digits_than_of_their_copies_gets_no_verdict_on_mnist(
    power: float,
) -> None:
    """However its confidence was multiplied."""
    suspect = contamination.finding(on_mnist(evidence(KNOWN, power)))
    assert suspect is not None

    said = verdict.of([*samples.allowed()[0].findings, suspect])

    assert (said.word, "Seen before?" in said.sentence) == ("no_verdict", True)


def test_on_other_digits_it_is_a_warning() -> None:
    suspect = contamination.finding(evidence(KNOWN))

    assert suspect is not None
    assert (suspect.status, suspect.level) == ("inconclusive", "warning")


@pytest.mark.parametrize("missing", LIGHT)
def test_without_the_light_changes_nothing_is_said(missing: object) -> None:
    shown = evidence(KNOWN)

    assert (
        contamination.finding(replace(shown, light={t: rows for t, rows in shown.light.items() if t != missing}))
        is None
    )


@pytest.mark.parametrize("wrong", [np.nan, 3.0, -1.0])
def test_a_single_answer_that_is_no_probability_does_not_switch_it_off(wrong: float) -> None:
    shown = on_mnist(evidence(FRESH))
    turned = shown.light[LIGHT[0]].copy()
    turned[17, 3] = wrong

    found = contamination.finding(replace(shown, light={**shown.light, LIGHT[0]: turned}))

    assert found is not None
    assert (found.status, found.level) == ("inconclusive", "required")
    assert "1 of 2000 images got no probabilities" in found.reason


def test_of_few_digits_nothing_is_said() -> None:
    """A model that makes no mistake on them would be accused."""
    shown = evidence(KNOWN)
    few = shown.subset(np.arange(len(ZEROS)) < 999)

    assert contamination.finding(few) is None


def test_the_light_changes_are_kept_with_the_evidence(tmp_path: Path) -> None:
    shown = samples.tiny()[1]
    answers = {**shown.answers, **dict.fromkeys(LIGHT, shown.labels.astype(np.int8))}
    shown = samples.answering(shown, answers=answers, specimens=dict.fromkeys(answers, shown.images[:1]))
    shown = replace(shown, light=dict(zip(LIGHT, (shown.probabilities[::-1], shown.probabilities), strict=True)))
    store = kept.Store(tmp_path / "e", "key")
    for trial in answers:
        rows = shown.light.get(trial, shown.probabilities)
        store.put(trial, arrays_of(trial, [answers_to_block(trial, rows)], shown.images[:1]))
    store.finish(shown)

    read = kept.read(tmp_path / "e")

    assert all(np.array_equal(read.light[trial], shown.light[trial]) for trial in LIGHT)


@pytest.mark.parametrize("power", [0.001, 0.5, 4])
def test_a_confidence_that_was_multiplied_hides_nothing(power: float) -> None:
    plain, multiplied = (answered((3.4, 3.2, 3.0), np.random.default_rng(6), by) for by in (1.0, power))

    found = [contamination.beside(ZEROS, rows, [turned], ZEROS, train) for rows, turned, train in (plain, multiplied)]

    assert found[1] == pytest.approx(found[0], rel=0.01)


def test_losses_on_copies_count_for_their_geometric_mean_and_those_on_training_digits_for_as_much() -> None:
    rows, *changed, training = answered((3.4, 3.2, 3.1, 3.0), np.random.default_rng(6))
    grown = [contamination.growth(ZEROS, rows, [other])[0] for other in (*changed, training)]

    both = contamination.beside(ZEROS, rows, changed, ZEROS, training)[0]

    assert both == pytest.approx((grown[0] * grown[1]) ** 0.5 * grown[2])


def test_a_model_that_is_always_right_and_sure_loses_nothing_anywhere() -> None:
    sure = np.tile(np.eye(10)[0], (2000, 1))

    assert contamination.beside(ZEROS, sure, [sure], ZEROS, sure) == (1, 1)


def test_a_model_that_is_sure_of_nothing_but_the_test_digits_has_seen_them() -> None:
    sure, others = np.tile(np.eye(10)[0], (2000, 1)), answered((3.0,), np.random.default_rng(6))[0]

    assert contamination.growth(ZEROS, sure, [others])[1] > 1000
