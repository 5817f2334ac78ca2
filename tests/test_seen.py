"""Seen before? A model that loses much more on digits turned by 6 degrees than on the digits themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import evidence as kept
from harness import panel, verdict
from harness.records import LIGHT, Evidence, Probabilities
from harness.soundness import seen
from harness.sweep import found, part
from tests import samples


def sure(shown: Evidence, of_true: float, spread: float = 0.0) -> Probabilities:
    """Rows that give the true digit this probability, more or less."""
    n = len(shown.labels)
    share = np.clip(of_true + spread * np.linspace(-1, 1, n), 1e-6, 1)
    rows = np.tile(((1 - share) / 9)[:, None], (1, 10))
    rows[np.arange(n), shown.labels] = share
    return rows.astype(np.float32)


def evidence(clean: float, turned: float) -> Evidence:
    shown = samples.tiny()[1]
    light = dict.fromkeys(LIGHT, sure(shown, turned, 0.001))
    return replace(shown, probabilities=sure(shown, clean, 0.001), light=light)


def on_mnist(shown: Evidence) -> Evidence:
    return replace(shown, data=replace(shown.data, sha256=panel.load().data_sha256))


def test_a_model_that_loses_as_much_on_turned_copies_passes() -> None:
    found = seen.finding(evidence(0.98, 0.979))

    assert found is not None
    assert found.status == "passed"


def test_a_model_that_is_much_surer_of_the_test_digits_than_of_their_copies_gets_no_verdict_on_mnist() -> None:
    suspect = seen.finding(on_mnist(evidence(0.998, 0.98)))
    assert suspect is not None

    said = verdict.of([*samples.allowed()[0].findings, suspect])

    assert (said.word, "Seen before?" in said.sentence) == ("no_verdict", True)


def test_on_other_digits_it_is_a_warning() -> None:
    suspect = seen.finding(evidence(0.998, 0.98))

    assert suspect is not None
    assert (suspect.status, suspect.level) == ("inconclusive", "warning")


@pytest.mark.parametrize("missing", LIGHT)
def test_without_the_light_changes_nothing_is_said(missing: object) -> None:
    shown = evidence(0.998, 0.98)

    assert seen.finding(replace(shown, light={t: rows for t, rows in shown.light.items() if t != missing})) is None


def test_what_are_no_probabilities_are_not_asked() -> None:
    shown = evidence(0.998, 0.98)

    assert seen.finding(replace(shown, probabilities=shown.probabilities * 20)) is None


def test_the_light_changes_are_kept_with_the_evidence(tmp_path: Path) -> None:
    shown = evidence(0.998, 0.98)
    answers = {**shown.answers, **dict.fromkeys(LIGHT, shown.labels.astype(np.int8))}
    shown = replace(shown, answers=answers, specimens=dict.fromkeys(answers, shown.images[:1]))
    store = kept.Store(tmp_path / "e", "key")
    for trial in answers:
        rows = shown.light.get(trial, shown.probabilities)
        store.put(trial, found(trial, [part(trial, rows)], shown.images[:1]))
    store.finish(shown)

    read = kept.read(tmp_path / "e")

    assert seen.growth(read) == seen.growth(shown)


def answered(means: tuple[float, float], rng: np.random.Generator, power: float = 1.0) -> list[Probabilities]:
    """Rows of two sets of zeros, whose scores for zero are so far above those of the nine others, more or less."""
    rows = []
    for mean in means:
        ahead = rng.normal(mean, 2.0, 2000)
        scores = power * np.hstack([ahead[:, None], np.zeros((2000, 9))])
        rows.append(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))
    return rows


ZEROS = np.zeros(2000, np.uint8)


def test_the_bound_of_the_loss_on_training_digits_holds_19_times_in_20() -> None:
    rng = np.random.default_rng(5)
    told = [seen.training_loss(ZEROS, test, ZEROS, train) for test, train in
            (answered((3.4, 3.0), rng) for _ in range(300))]  # fmt: skip
    truth = float(np.median([ratio for ratio, _ in told]))

    assert 0.91 <= np.mean([low <= truth for _, low in told]) <= 0.98
    assert 1 < np.mean([low for _, low in told]) < truth


@pytest.mark.parametrize("power", [0.1, 0.5, 4])
def test_a_confidence_that_was_multiplied_hides_nothing(power: float) -> None:
    plain, multiplied = (answered((3.4, 3.0), np.random.default_rng(6), by) for by in (1.0, power))

    before = seen.training_loss(ZEROS, plain[0], ZEROS, plain[1])

    assert seen.training_loss(ZEROS, multiplied[0], ZEROS, multiplied[1]) == pytest.approx(before, rel=0.01)


def test_a_model_that_is_always_right_and_sure_loses_nothing_anywhere() -> None:
    sure = np.tile(np.eye(10)[0], (2000, 1))

    assert seen.training_loss(ZEROS, sure, ZEROS, sure) == (1, 1)
