"""White-box attacks: inside their ball, harmful, repeatable; a candidate without gradients is not called robust."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import metrics, policy
from harness.candidate.parent.subject import Subject
from harness.corruptions import trial_at
from harness.corruptions.attacks import ATTACKS, Attack
from harness.errors import NotMeasurable, SubjectFault, Unattackable, UsageError
from harness.evidence import storage, sweep
from harness.files import shipped_folder
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.records import CLEAN, LIGHT, Dataset, Evidence, Images, Scope
from tests.support import samples

POLICY = """format = 1
name = "white box"
[[gate]]
metric = "{metric}"
corruption = "{corruption}"
severity = 2
at_{rule} = 0.3
because = "someone may have the weights"
"""


@pytest.fixture
def few(embedded: Dataset) -> Dataset:
    images, labels = embedded.images[:200], embedded.labels[:200]
    return replace(embedded, images=images, labels=labels, facts=replace(embedded.facts, n=200))


@pytest.fixture
def subject(reference_model: Path, fork_server: Path) -> Iterator[Subject]:
    with Subject.start(reference_model) as started:
        yield started


def right(subject: Subject, images: Images, few: Dataset) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = subject.predict(images).argmax(axis=1) == few.labels
    return found


@pytest.mark.parametrize("name", ATTACKS)
def test_no_image_leaves_its_ball_and_many_are_turned(name: str, subject: Subject, few: Dataset) -> None:
    attack = ATTACKS[name]

    moved = [subject.attacked(few.images, attack, severity) for severity in (1, 5)]

    away = [np.abs(images.astype(int) - few.images) for images in moved]
    sizes = [far.max(axis=(1, 2)) if attack.norm == "linf" else np.sqrt((far**2).sum(axis=(1, 2))) for far in away]
    assert sizes[0].max() <= attack.epsilon(1) < sizes[1].max() <= attack.epsilon(5)
    assert sizes[1].max() > 0.9 * attack.epsilon(5)
    shares = [right(subject, images, few).mean() for images in (few.images, *moved)]
    assert shares[0] > 0.9
    assert shares[0] >= shares[1] > shares[2]
    assert shares[2] < 0.6


def test_the_same_images_are_moved_alike_and_none_looks_at_its_neighbours(subject: Subject, few: Dataset) -> None:
    attack = ATTACKS["pgd_linf"]

    whole = subject.attacked(few.images, attack, 2)

    assert np.array_equal(whole, subject.attacked(few.images, attack, 2))
    apart = subject.attacked(few.images[::-1], attack, 2)[::-1]
    assert (whole == apart).all(axis=(1, 2)).mean() > 0.95


def test_more_steps_harm_more(subject: Subject, few: Dataset) -> None:
    one, many = (subject.attacked(few.images, ATTACKS[name], 2) for name in ("fgsm", "pgd_linf"))

    assert right(subject, many, few).sum() < right(subject, one, few).sum()


def test_images_outside_the_ball_are_the_candidates_fault(subject: Subject, few: Dataset) -> None:
    class Stricter(Attack):
        def holds(self, images: Images, moved: Images, severity: int) -> bool:
            return super().holds(images, moved, 1)

    usual = ATTACKS["fgsm"]
    strict = Stricter(usual.name, usual.norm, usual.steps, usual.epsilons, usual.source)

    with pytest.raises(SubjectFault, match="are not within 77 grey levels"):
        subject.attacked(few.images, strict, 5)


def test_a_candidate_without_gradients_is_not_evaluated_and_keeps_its_other_answers(
    reference_model: Path, fork_server: Path, few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text("from harness.references.preprocessing import normalize, one_hot\n")
    monkeypatch.chdir(tmp_path)
    trials = (CLEAN, trial_at("fgsm", 1), trial_at("fog", 1))
    with Subject.start(reference_model, preprocess="own") as own:
        with pytest.raises(Unattackable, match="own preprocessing"):
            own.attacked(few.images, ATTACKS["fgsm"], 1)
        store = storage.Store(tmp_path / "e", "key")
        found = sweep.measure(own, few, trials, 1, store, lambda done, total: None)

    (tmp_path / "p.toml").write_text(POLICY.format(metric="accuracy", corruption="fgsm", rule="least"))
    (finding,) = judge_all(evaluate(found, policy.load(tmp_path / "p.toml").gates))
    assert set(found.answers) == {CLEAN, trial_at("fog", 1)}
    assert not found.fault
    assert finding.status == "not_evaluated"
    assert "could not be attacked" in finding.reason


def test_a_sweep_attacks_after_everything_else(subject: Subject, few: Dataset, tmp_path: Path) -> None:
    trials = (CLEAN, trial_at("pgd_l2", 3), trial_at("fog", 1))
    seen: list[tuple[int, int]] = []

    found = sweep.measure(
        subject, few, trials, 1, storage.Store(tmp_path / "e", "key"), lambda done, total: seen.append((done, total))
    )

    assert set(found.answers) == set(trials) == set(found.specimens)
    assert seen[-1] == (600, 600)
    assert (found.answers[trials[1]] == few.labels).mean() < (found.answers[CLEAN] == few.labels).mean()


def attacked(one: slice, many: slice) -> Evidence:
    """``one`` and ``many`` are the images that one step and many steps turn wrong."""
    _, whole = samples.tiny()
    answers = {CLEAN: whole.labels.astype(np.int8)}
    for name, wrong in (("fgsm", one), ("pgd_linf", many)):
        said = whole.labels.astype(np.int8)
        said[wrong] = -1
        answers[trial_at(name, 2)] = said
    return samples.answering(whole, answers=answers)


def test_masked_gradients_are_images_that_only_one_step_turns() -> None:
    scope = Scope(corruption="pgd_linf", severity=2)

    assert metrics.show(attacked(slice(0, 9), slice(6, 30)), "masked_gradients", scope).hits == 6
    assert metrics.show(attacked(slice(0, 9), slice(0, 30)), "masked_gradients", scope).hits == 0
    assert [
        one.scope
        for one in metrics.table(evaluate(attacked(slice(9), slice(9)), ()))
        if one.metric == "masked_gradients"
    ] == [scope]
    with pytest.raises(NotMeasurable, match="could not be attacked"):
        metrics.show(samples.tiny()[1], "masked_gradients", scope)


def test_a_policy_that_asks_for_masked_gradients_attacks_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(POLICY.format(metric="masked_gradients", corruption="pgd_linf", rule="most"))

    assert policy.load(path).trials() == (CLEAN, *LIGHT, trial_at("fgsm", 2), trial_at("pgd_linf", 2))


@pytest.mark.parametrize("corruption", ["fgsm", "pgd_l2", "fog"])
def test_masked_gradients_are_of_pgd_linf_only(corruption: str, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(POLICY.format(metric="masked_gradients", corruption=corruption, rule="most"))

    with pytest.raises(UsageError, match="needs the corruption pgd_linf and a severity"):
        policy.load(path)


def test_the_shipped_policy_attacks_and_warns_only() -> None:
    loaded = policy.load(shipped_folder("suites") / "white_box.toml")
    own = [gate for gate in loaded.gates if gate.file == "white_box.toml"]

    assert {gate.level for gate in own} == {"warning"}
    assert {trial.name for trial in loaded.trials()} >= set(ATTACKS)
