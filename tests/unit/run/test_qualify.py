"""Mutants judged and kept, on a model that is a function on arrays."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import harness
from harness import policy, report
from harness.candidate.mutation import MUTATIONS
from harness.candidate.mutation.weights import in_probabilities
from harness.cli import main
from harness.corruptions import trial_at
from harness.errors import SubjectFault, Unmutable, UsageError
from harness.evidence import baseline_file, storage, sweep
from harness.judging import contamination, qualification
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.outputs import qualification_json
from harness.records import (
    CLEAN,
    LIGHT,
    AttackAt,
    Column,
    Evidence,
    Gate,
    Groups,
    Ladder,
    Lowering,
    Mutant,
    Predictions,
    Probabilities,
    Qualification,
    Scope,
    Trial,
)
from harness.report import safe
from harness.run import mutant, qualify
from harness.run.mutant import Original
from harness.run.qualify import Options
from tests.support import samples
from tests.support.local_subject import LocalSubject

NOISE = trial_at("gaussian_noise", 2)
SHOWN = samples.evidence(("gaussian_noise",), n=500)
FEW = replace(samples.dataset(), images=SHOWN.images, labels=SHOWN.labels)
GATES = (
    Gate("accuracy", "accuracy", "at_least", 0.9, "of the whole"),
    Gate("recall-8", "recall", "at_least", 0.85, "of eights", Scope(8)),
    Gate("noise", "accuracy", "at_least", 0.6, "of scans", Scope(corruption="gaussian_noise", severity=2)),
    Gate("loose", "accuracy", "at_least", 0.01, "of anything"),
)
NOTHING_KEPT = mutant.Unmutated(FEW, Path(), frozenset())
GIVEN = {"dataset": FEW, "request": SimpleNamespace(seed=1)}
REACHED = qualification.reached([SHOWN])
ON_ARRAYS = ("labels", "answers", "pixels")  # of the others: tests/process/test_mutate.py
FREE = ("labels_wrong", "labels_4_as_9", "smoothed", "stale")  # need no answers of the model


def original(out: Path, gates: tuple[Gate, ...] = GATES, subject: Any = None) -> Original:
    answers = {CLEAN: SHOWN.answers[CLEAN], NOISE: SHOWN.answers[NOISE]}
    shown = samples.answering(SHOWN, answers=answers)
    rules = SimpleNamespace(facts=SimpleNamespace(name="p", sha256="p"))
    session: Any = SimpleNamespace(out=out, dataset=FEW, subject=subject or LocalSubject(), policy=rules)
    needs = {gate.id: frozenset({CLEAN, NOISE} if gate.id == "noise" else {CLEAN}) for gate in gates}
    blocks = mutant.made_once(FEW, 1, out)
    unmutated = mutant.Unmutated(FEW, out, frozenset())
    return Original(session, shown, gates, frozenset(), False, blocks, unmutated, REACHED, "key", needs)


def climbed(known: Original, *names: str, progress: Any = lambda done, total: None) -> dict[str, Ladder]:
    subjects: Any = SimpleNamespace(session=known.session, restart=lambda: None)
    ladders = qualify.climb(known, [MUTATIONS[name] for name in names], subjects, lambda: False, progress)
    return {one.operator: one for one in ladders}


def test_wrong_labels_are_stopped_and_the_gates_that_did_it_are_named(tmp_path: Path) -> None:
    ladder = climbed(original(tmp_path), "labels_wrong")["labels_wrong"]

    worst = ladder.mutants[-1]
    assert (worst.status, worst.chance > 0.8) == ("stopped", True)
    assert "gate/accuracy" in worst.by
    assert ladder.detectable is not None
    assert ladder.said.endswith("of labels wrong")


def test_a_policy_that_asks_for_little_lets_all_through_and_says_what_that_costs(tmp_path: Path) -> None:
    ladder = climbed(original(tmp_path, GATES[3:]), "labels_wrong")["labels_wrong"]

    assert (ladder.detectable, ladder.below) == (None, "5 % of labels wrong")
    assert ladder.unnoticed is not None
    assert ladder.unnoticed.accuracy == pytest.approx((SHOWN.answers[CLEAN] == SHOWN.labels).mean() - 0.05, abs=0.01)
    assert ladder.stopped == (0.0,) * 5


def test_pixels_are_changed_after_the_corruption_that_the_parent_makes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    block = sweep.block

    def counted(*asked: Any) -> Any:
        made.append(asked[1:])
        return block(*asked)

    monkeypatch.setattr(sweep, "block", counted)

    ladders = climbed(original(tmp_path), "shifted_right", "part_inverted", "binarised")

    assert made == [(NOISE, 1, 0)]
    assert sum(len(one.mutants) for one in ladders.values()) > 4
    assert ladders["shifted_right"].mutants[-1].newly_wrong > 50


@pytest.mark.parametrize("name", [one.name for one in MUTATIONS.values() if one.family in ON_ARRAYS])
def test_a_mutant_of_strength_nil_is_equivalent(name: str, tmp_path: Path) -> None:
    known, operator = original(tmp_path), MUTATIONS[name]

    *_, (evidence, asked) = mutant.planted(known, operator, operator.nil, 0, known.session.subject)

    assert asked == GATES
    named = Mutant(name, operator.nil, 0, "passed")
    assert mutant.judged(known, evaluate(evidence, asked), named, tuple).status == "equivalent"


def test_what_no_label_and_no_probability_moves_is_equivalent_and_what_moves_one_is_not(tmp_path: Path) -> None:
    found = climbed(original(tmp_path), "smoothed")["smoothed"]

    assert {one.status for one in found.mutants} == {"passed"}


def test_the_images_shown_of_a_mutant_are_those_that_the_model_was_surest_of(tmp_path: Path) -> None:
    worst = climbed(original(tmp_path), "stale")["stale"].mutants[-1]

    sure = [float(SHOWN.probabilities[one.index].max()) for one in worst.examples]
    assert sure == sorted(sure, reverse=True)
    assert all(SHOWN.answers[CLEAN][one.index] == one.label != one.said for one in worst.examples)


class Counted(LocalSubject):
    """Counts the images that it is asked about."""

    asked = 0

    def predict(self, images: Any, **under: Any) -> Any:
        self.asked += len(images)
        return super().predict(images, **under)


def one(known: Original, strength: float) -> Mutant:
    subjects: Any = SimpleNamespace(session=known.session, restart=lambda: None)
    return mutant.of(known, MUTATIONS["shifted_right"], strength, 0, subjects)


def test_what_two_gates_stop_surely_on_clean_images_is_asked_no_more_and_says_so(tmp_path: Path) -> None:
    subject = Counted()

    found = one(original(tmp_path, subject=subject), 5)

    assert subject.asked == len(SHOWN.labels)
    assert {"gate/accuracy", "gate/recall-8"} <= {*found.by}
    assert (found.status, found.chance >= mutant.SURELY, found.not_asked) == ("stopped", True, ("gate/noise",))


def test_what_one_gate_stops_is_asked_about_everything_so_that_it_is_known_whether_it_is_alone(tmp_path: Path) -> None:
    subject = Counted()

    found = one(original(tmp_path, (GATES[0], *GATES[2:]), subject), 5)

    assert subject.asked == 2 * len(SHOWN.labels)
    assert (found.by, found.not_asked) == (("gate/accuracy", "gate/noise"), ())


def with_light(known: Original) -> Original:
    """The original with answers to light changes as well, which none of the gates needs."""
    subject = known.session.subject
    light = {trial: np.concatenate([*subject.stream(known.blocks([trial]))]) for trial in LIGHT}
    answers = {**known.evidence.answers, **{trial: storage.classes_of(rows) for trial, rows in light.items()}}
    return replace(known, evidence=samples.answering(known.evidence, answers=answers, light=light), turned=True)


@pytest.mark.parametrize(
    ("strength", "asked", "unasked"),
    [(5, 1, ("gate/noise", "check/seen_before")), (1, 4, ())],
)
def test_light_changes_are_asked_of_mutants_that_clean_images_do_not_stop(
    strength: float, asked: int, unasked: tuple[str, ...], tmp_path: Path
) -> None:
    subject = Counted()
    known = with_light(original(tmp_path, subject=subject))
    subject.asked = 0

    found = one(known, strength)

    assert (subject.asked, found.not_asked) == (asked * len(SHOWN.labels), unasked)


def test_a_policy_of_clean_images_alone_has_its_mutants_asked_whether_digits_were_seen_before(tmp_path: Path) -> None:
    subject = Counted()
    known = with_light(original(tmp_path, GATES[3:], subject))
    subject.asked = 0
    known = replace(known, evidence=replace(known.evidence, predictions=without_noise(known.evidence)))

    found = one(known, 1)

    assert (subject.asked, found.not_asked) == (3 * len(SHOWN.labels), ())


def without_noise(shown: Evidence) -> Predictions:
    return replace(shown.predictions, answers={trial: each for trial, each in shown.answers.items() if trial != NOISE})


def test_light_changes_of_a_fault_of_the_logits_are_computed_as_they_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def light(folder: Path) -> Mapping[Trial, Probabilities]:
        folder.mkdir()
        known = with_light(with_answers_of(original(folder, subject=OfLogits())))
        *_, (evidence, _) = mutant.planted(known, MUTATIONS["classes_mixed"], 0.5, 0, known.session.subject)
        return evidence.light

    computed = light(tmp_path / "computed")
    monkeypatch.setattr(mutant, "_computed", lambda *_: {})
    asked = light(tmp_path / "asked")

    assert [*computed] == [*asked] == [*LIGHT]
    for trial in LIGHT:
        np.testing.assert_allclose(computed[trial], asked[trial], atol=1e-6)


def test_strengths_and_what_is_never_needed_are_those_of_mutants_that_are_asked_about_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def summed_up(folder: Path) -> Qualification:
        folder.mkdir()
        known = original(folder)
        names = ("shifted_right", "part_inverted", "binarised", "resized", "gamma")
        return qualify.summary(known, tuple(climbed(known, *names).values()), (), 0.1)

    found = summed_up(tmp_path / "stages")
    monkeypatch.setattr(mutant, "SURELY", 2.0)
    whole = summed_up(tmp_path / "whole")

    assert any(each.not_asked for ladder in found.ladders for each in ladder.mutants)
    assert not any(each.not_asked for ladder in whole.ladders for each in ladder.mutants)
    told, known = ({one.operator: one for one in each.ladders} for each in (found, whole))
    assert {name: one.stopped for name, one in told.items()} == {name: one.stopped for name, one in known.items()}
    for name, ladder in told.items():
        assert (ladder.detectable or 0) == pytest.approx(known[name].detectable or 0, rel=0.01)
        assert (ladder.below, ladder.unnoticed) == (known[name].below, known[name].unnoticed)
    assert {*found.idle, *found.never_alone} == {*whole.idle, *whole.never_alone}
    assert found.score == whole.score


class OfLogits(Counted):
    """Ends with a softmax, whose logits a fault changes; ``ending`` changes the probabilities after it."""

    def __init__(self, ending: Any = lambda rows: rows) -> None:
        super().__init__()
        self.ending: Any = ending
        self.fault: tuple[str, float, int] | None = None

    def mutate(self, name: str = "", strength: float = 0.0, seed: int = 0) -> None:
        self.fault = (name, strength, seed) if name else None

    def predict(self, images: Any, **under: Any) -> Any:
        rows = np.maximum(super().predict(images, **under), 1e-30)
        if self.fault is not None:
            name, strength, seed = self.fault
            rows = in_probabilities(MUTATIONS[name].function, rows, strength, seed)
        return self.ending(rows)


OF_LOGITS = [one.name for one in MUTATIONS.values() if one.of_logits]


def with_answers_of(known: Original) -> Original:
    subject = known.session.subject
    clean, noisy = (np.concatenate([*subject.stream(known.blocks([trial]))]) for trial in (CLEAN, NOISE))
    answers = {CLEAN: storage.classes_of(clean), NOISE: storage.classes_of(noisy)}
    return replace(known, evidence=samples.answering(SHOWN, answers=answers, probabilities=clean))


def of_logits(folder: Path, subject: OfLogits, *names: str) -> tuple[dict[str, Ladder], int, int]:
    """Search the ladders of faults of the logits; count the mutants, and noisy images that the model is asked about."""
    folder.mkdir()
    known = with_answers_of(original(folder, (replace(GATES[2], threshold=0.66),), subject))
    subject.asked = 0
    ladders = climbed(known, *names)
    judged = len([*(folder / mutant.MUTANTS).iterdir()])
    return ladders, judged, subject.asked - judged * len(SHOWN.labels)


def test_the_model_is_asked_once_under_each_condition_for_all_faults_of_its_logits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed, _, once = of_logits(tmp_path / "computed", OfLogits(), *OF_LOGITS)
    monkeypatch.setattr(mutant, "_computed", lambda *_: {})
    asked, judged, each = of_logits(tmp_path / "asked", OfLogits(), *OF_LOGITS)

    assert len(OF_LOGITS) == 5
    assert (once, each) == (len(SHOWN.labels), judged * len(SHOWN.labels))
    assert computed == asked
    assert {one.status for ladder in computed.values() for one in ladder.mutants} == {"stopped", "passed"}


class DyingLater(LocalSubject):
    """Answers the first block, and dies."""

    def mutate(self, name: str = "", strength: float = 0.0, seed: int = 0) -> None:
        pass

    def stream(self, blocks: Any, *, under: Any = None, logs: bool = False) -> Any:
        yield np.zeros((sweep.BLOCK, 10), np.float32)
        raise SubjectFault("it died")


def test_what_the_sweep_of_the_model_predicted_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "BLOCK", 250)
    subject, other = Counted(), trial_at("gaussian_noise", 1)
    (tmp_path / "asked").mkdir()
    kept, asked = (mutant.Unmutated(FEW, tmp_path / name, frozenset({CLEAN, NOISE})) for name in ("", "asked"))
    swept = sweep.predict_locally(subject, FEW, sweep.own_blocks(FEW, 1), seen=kept.keep)
    assert len(list(swept([CLEAN, other, NOISE], lambda done, total: None))) == 3
    subject.asked = 0

    found = kept.ask(subject, sweep.own_blocks(FEW, 1), [NOISE, CLEAN])

    assert (subject.asked, {*found}) == (0, {NOISE, CLEAN})
    for trial, rows in asked.ask(subject, sweep.own_blocks(FEW, 1), [NOISE, CLEAN]).items():
        assert np.array_equal(rows, found[trial])
    assert subject.asked == 2 * len(SHOWN.labels)
    with pytest.raises(SubjectFault):
        kept.ask(DyingLater(), sweep.own_blocks(FEW, 1), [other])
    kept.ask(subject, sweep.own_blocks(FEW, 1), [other])
    assert subject.asked == 3 * len(SHOWN.labels)


@pytest.mark.parametrize(
    ("ending", "follow"),
    [
        pytest.param(
            lambda rows: rows**2 / (rows**2).sum(axis=1, keepdims=True),
            ("classes_mixed",),
            id="logits x 2 after the fault",
        ),
        pytest.param(lambda rows: np.where(rows < 1e-6, np.float32(0), rows), (), id="probabilities of 0"),
    ],
)
def test_a_mutant_is_asked_itself_where_its_answers_do_not_follow_from_the_model_s(
    ending: Any, follow: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("class_suppressed", *follow)
    found, judged, more = of_logits(tmp_path / "found", OfLogits(ending), *names)
    monkeypatch.setattr(mutant, "_computed", lambda *_: {})
    asked, *_ = of_logits(tmp_path / "asked", OfLogits(ending), *names)

    assert found == asked
    computed = sum(len(found[name].mutants) for name in follow)
    assert more == (1 + judged - computed) * len(SHOWN.labels)


def test_under_an_attack_which_moves_images_by_its_own_gradients_a_mutant_is_asked_itself(tmp_path: Path) -> None:
    subject, operator = OfLogits(), MUTATIONS["class_suppressed"]
    known = with_answers_of(original(tmp_path, subject=subject))
    made = partial(in_probabilities, operator.function, strength=1.0, seed=8)
    clean = {"probabilities": made(known.evidence.probabilities)}

    computed, asked = (
        mutant._computed(known, subject, made, trials, clean) for trials in ([NOISE], [NOISE, AttackAt("fgsm", 1)])
    )

    assert (list(computed), asked) == ([NOISE], {})


def test_a_gate_whose_trials_have_no_answers_is_asked_all_the_same(tmp_path: Path) -> None:
    known = original(tmp_path)
    nowhere = {**known.needs, "noise": frozenset({CLEAN, trial_at("gaussian_noise", 3)})}

    *_, (_, asked) = mutant.planted(replace(known, needs=nowhere), MUTATIONS["gamma"], 1.5, 0, known.session.subject)

    assert asked == GATES


@pytest.mark.parametrize("name", ["successor", "writers"])
def test_a_gate_that_stands_unless_it_is_refuted_is_asked_with_all_others_of_its_kind(name: str) -> None:
    rules = policy.load(Path(name))
    gates = [gate for gate in rules.gates if gate.level == "required" and gate.metric != "trigger_success"]
    everything = frozenset(mutant.trials_of_all(rules, gates))

    needs = mutant.needs_of(rules, gates)

    guards = {gate.id for gate in gates if gate.decide == "not-disproven"}
    assert bool(guards) == (name == "successor")
    assert {needs[one] for one in guards} <= {everything}
    assert min(len(needs[gate.id]) for gate in gates if gate.id not in guards) == len({CLEAN})


def test_beside_fewer_guards_one_is_refuted_more_easily() -> None:
    """The reason why guards are asked together."""
    wrong = np.arange(500) % 50 == 0
    shown = samples.answering(
        SHOWN,
        answers={CLEAN: np.where(wrong, (SHOWN.labels + 1) % 10, SHOWN.labels).astype(np.int8)},
        probabilities=SHOWN.probabilities,
    )
    guard = Gate("g", "accuracy", "at_least", 0.99, "x", kind="guard", decide="not-disproven")
    many = [replace(guard, id=f"{at}", threshold=0.5) for at in range(20)]

    alone, among = (judge_all(evaluate(shown, [guard, *others]))[0].status for others in ([], many))

    assert (alone, among) == ("failed", "inconclusive")


def test_the_conditions_nearest_to_a_threshold_come_first() -> None:
    kinds = ("gaussian_noise", "impulse_noise")
    shown = samples.evidence(kinds, n=500)
    trials = [CLEAN, *(trial_at(kind, level) for kind in kinds for level in (1, 2, 3, 4, 5))]
    shown = samples.answering(shown, answers={trial: shown.answers[trial] for trial in trials})
    right = {trial: float((shown.answers[trial] == shown.labels).mean()) for trial in trials}
    gates = tuple(
        Gate(f"{at}", "accuracy", "at_least", right[trial] - 0.01 * (1 + (at * 3) % 11), "x", mutant_scope(trial))
        for at, trial in enumerate(trials[1:])
    )
    needs = {gate.id: frozenset({CLEAN, trial}) for gate, trial in zip(gates, trials[1:], strict=True)}

    first, near, rest = mutant._stages(tuple(mutant._in_order(shown, gates, needs).answers))

    assert first == (CLEAN,)
    assert (len(near), len(rest)) == (2, 8)
    slack = {gate.id: right[trial] - gate.threshold for gate, trial in zip(gates, trials[1:], strict=True)}
    nearest = sorted(slack, key=lambda name: slack[name])[:3]
    assert {f"{trials.index(trial) - 1}" for trial in near} <= {*nearest}


def mutant_scope(trial: Any) -> Scope:
    return Scope(corruption=trial.name, severity=trial.point[0])


class Stopped(BaseException):
    """The process ends here."""


def test_killed_at_any_of_twenty_moments_it_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quick(known: Original, operator: Any, strength: float, seed: int, subjects: Any) -> Mutant:
        stops = operator.ladder.index(strength) + seed > 2
        return Mutant(
            operator.name, strength, seed, "stopped" if stops else "passed", float(stops), ("gate/a",) * stops
        )

    monkeypatch.setattr(mutant, "_judged", quick)

    def ended(folder: Path, after: int) -> bytes:
        folder.mkdir(exist_ok=True)
        left = [after]

        def report(done: int, total: int) -> None:
            left[0] -= 1
            if not left[0]:
                raise Stopped

        known = original(folder)
        ladders = tuple(climbed(known, *FREE, progress=report).values())
        return qualification_json.dump(qualify.summary(known, ladders, (), 0.1))

    whole = ended(tmp_path / "whole", 0)
    for moment in range(1, 21):
        with pytest.raises(Stopped):
            ended(tmp_path / f"{moment}", moment)

        assert ended(tmp_path / f"{moment}", 0) == whole


def test_what_was_finished_is_not_judged_again_and_what_is_damaged_is(tmp_path: Path) -> None:
    known = original(tmp_path)
    climbed(known, "smoothed")
    files = sorted((tmp_path / "mutants").iterdir())
    before = [(path.name, path.stat().st_ino) for path in files]
    files[0].write_bytes(b"{")

    climbed(known, "smoothed")

    after = [(path.name, path.stat().st_ino) for path in sorted((tmp_path / "mutants").iterdir())]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, *[True] * (len(before) - 1)]


def key(shown: Any, gates: tuple[Gate, ...] = GATES) -> str:
    rules = replace(policy.load(Path("embedded")), gates=gates)
    done: Any = SimpleNamespace(run=SimpleNamespace(findings=()), evidence=shown)
    session: Any = SimpleNamespace(policy=rules, **GIVEN)
    return mutant.original_of(session, done, NOTHING_KEPT).key


def test_mutants_of_other_units_or_slices_are_others(tmp_path: Path) -> None:
    codes = (np.arange(500) // 25).astype(np.int32)
    site = Column(("a", "b"), np.arange(500, dtype=np.int32) % 2)
    several = [None, Groups("writer", codes), Groups("writer", codes // 2), Groups("", None, {"site": site})]
    several += [Groups("", None, {"site": replace(site, codes=1 - site.codes)})]

    keys = [key(replace(SHOWN, groups=groups)) for groups in several]

    assert len({*keys}) == len(keys)


def test_mutants_that_other_code_of_a_metric_judged_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    code = tmp_path / "own_of_a_mutant.py"
    code.write_text("def right(labels, predictions, probabilities):\n    return labels == predictions\n")
    gate = replace(GATES[0], metric="own_of_a_mutant:right")

    before = key(SHOWN, (gate,))
    code.write_text(f"{code.read_text()}# changed\n")

    assert key(SHOWN, (gate,)) != before


def test_a_check_that_the_policy_lowers_to_a_warning_stops_no_mutant() -> None:
    seen = replace(samples.checks()[0], id="check/seen_before", status="inconclusive", level="required")
    lowered = seen.ruled({seen.id: Lowering("known", "policy.toml:1")}, {})
    done: Any = SimpleNamespace(run=SimpleNamespace(findings=(lowered,)), evidence=SHOWN)
    session: Any = SimpleNamespace(policy=replace(policy.load(Path("embedded")), gates=GATES), **GIVEN)

    assert mutant.original_of(session, done, NOTHING_KEPT).open == {seen.id}


@pytest.mark.parametrize(
    ("level", "status", "turned"),
    [("required", "passed", True), ("warning", "passed", False), ("required", "inconclusive", False)],
)
def test_the_check_of_turned_copies_is_missed_where_it_could_stop_a_mutant(
    level: Any, status: Any, turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = replace(samples.checks()[0], id="check/seen_before", status=status, level=level)
    monkeypatch.setattr(contamination, "finding", lambda evidence: seen)
    done: Any = SimpleNamespace(run=SimpleNamespace(findings=(seen,)), evidence=SHOWN)
    session: Any = SimpleNamespace(policy=replace(policy.load(Path("embedded")), gates=GATES), **GIVEN)

    assert mutant.original_of(session, done, NOTHING_KEPT).turned == turned


def left_by(out: Path, *, hashed: bool = True) -> Any:
    return SimpleNamespace(out=out, subject=SimpleNamespace(hashed=hashed))


def test_mutants_that_cannot_be_removed_are_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mutants" / "a.json").mkdir(parents=True)

    with pytest.raises(UsageError, match="mutants cannot be cleared: "):
        mutant.forget(left_by(tmp_path), resume=False)


@pytest.mark.parametrize(("hashed", "resume", "left"), [(True, True, ["a.json"]), (True, False, []), (False, True, [])])
def test_to_resume_keeps_what_is_finished_unless_other_code_may_have_changed(
    hashed: bool, resume: bool, left: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "mutants"
    folder.mkdir()
    for name in ("a.json", ".a.json.abcd1234"):
        (folder / name).write_bytes(b"{")

    mutant.forget(left_by(tmp_path, hashed=hashed), resume=resume)

    assert [path.name for path in folder.iterdir()] == left


class Alike(LocalSubject):
    """Answers the same to every fault where the first row is paper, and other digits elsewhere."""

    turn = 0

    def mutate(self, name: str = "", strength: float = 0.0, seed: int = 0) -> None:
        self.turn = 1 + seed % 1000 if name and strength == 256 else 0

    def predict(self, images: Any, **under: Any) -> Any:
        rows = super().predict(images, **under)
        paper = images[:, 0].reshape(len(images), -1).sum(axis=1) == 0
        if self.turn in (1, 2):
            rows[paper], rows[~paper] = np.nan, np.roll(rows[~paper], self.turn, axis=1)
        return rows


@pytest.mark.parametrize("surely", [mutant.SURELY, 2.0])
def test_mutants_that_answer_alike_on_clean_images_only_are_two(
    surely: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutant, "SURELY", surely)
    monkeypatch.setattr(mutant, "_stopping_checks", lambda *asked: ())

    ladder = climbed(original(tmp_path, subject=Alike()), "bit_flips")["bit_flips"]

    last = [one for one in ladder.mutants if one.strength == 256]
    assert len({one.digest for one in last if one.status == "stopped"}) == 2


class Dying(LocalSubject):
    """Answers nothing."""

    def close(self) -> None:
        pass

    def mutate(self, name: str = "", strength: float = 0.0, seed: int = 0) -> None:
        pass

    def stream(self, blocks: Any, *, under: Any = None, logs: bool = False) -> Any:
        raise SubjectFault("it died")


def test_three_crashes_in_a_row_end_an_operator_with_the_reason(tmp_path: Path) -> None:
    ladder = climbed(original(tmp_path, subject=Dying()), "part_inverted")["part_inverted"]

    assert [one.status for one in ladder.mutants] == ["crashed"] * len(ladder.mutants)
    assert ladder.stopped == (None,) * 5
    many = climbed(original(tmp_path / "b", subject=Dying()), "weights_noise")["weights_noise"]
    assert (len(many.mutants), many.note) == (3, "3 mutants in a row crashed: it died")


def test_a_mutant_whose_process_died_of_what_it_did_before_is_asked_of_another(tmp_path: Path) -> None:
    known = original(tmp_path, subject=Dying())
    subjects: Any = SimpleNamespace(session=known.session)

    def restart() -> None:
        subjects.session = SimpleNamespace(**{**vars(known.session), "subject": LocalSubject()})

    subjects.restart = restart

    found = mutant.of(known, MUTATIONS["shifted_right"], 1, 0, subjects)

    assert (found.status, found.why) != ("crashed", "it died")
    assert found.accuracy is not None


def test_a_model_that_was_replaced_meanwhile_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = LocalSubject(), LocalSubject()
    other._facts = replace(other.facts(), sha256="other")
    request = SimpleNamespace(model=Path("m.keras"))
    session: Any = SimpleNamespace(request=request, subject=first, out=Path(), policy=None)
    monkeypatch.setattr(mutant, "start_subject", lambda *asked: nullcontext(other))

    with ExitStack() as stack, pytest.raises(UsageError, match=r"m\.keras was replaced while its mutants were judged"):
        mutant.Subjects(session, stack).restart()


def test_a_model_without_weights_is_judged_by_the_other_faults_only(tmp_path: Path) -> None:
    class Bare(LocalSubject):
        def mutate(self, name: str = "", strength: float = 0.0, seed: int = 0) -> None:
            if name:
                raise Unmutable("no weights are to be had")

    found = climbed(original(tmp_path, subject=Bare()), "quantise", "binarised")

    assert (found["quantise"].mutants, found["quantise"].note) == ((), "skipped: no weights are to be had")
    assert found["binarised"].mutants


def test_operators_that_time_does_not_suffice_for_are_named(tmp_path: Path) -> None:
    known = original(tmp_path)
    subjects: Any = SimpleNamespace(session=known.session)
    calls = iter([*[False] * 3, *[True] * 9])

    ladders = qualify.climb(known, [MUTATIONS[name] for name in ("smoothed", "stale")], subjects, lambda: next(calls))
    whole = qualify.summary(known, ladders, (), None)

    assert whole.not_run == ("stale",)
    assert whole.score is not None
    assert whole.score.operators == 1


def test_answers_that_are_no_probabilities_are_put_to_the_checks(tmp_path: Path) -> None:
    known = original(tmp_path)
    rows = np.full_like(known.evidence.probabilities, np.nan)
    answers = {trial: np.full_like(said, -1) for trial, said in known.evidence.answers.items()}
    broken = samples.answering(known.evidence, probabilities=rows, answers=answers)

    named = Mutant("bit_flips", 1, 0, "passed")
    found = mutant.judged(known, evaluate(broken, known.gates), named, lambda: ("check/finite",))

    assert found.by[0] == "check/finite"
    assert (found.status, found.chance) == ("stopped", 1.0)


def test_retrainings_are_judged_beside_each_other_by_the_same_gates(tmp_path: Path) -> None:
    known = original(tmp_path)
    bad = np.where(np.arange(500) % 4 == 0, (SHOWN.labels + 1) % 10, SHOWN.labels).astype(np.int8)
    good = samples.answering(known.evidence, answers={CLEAN: SHOWN.labels.astype(np.int8), NOISE: SHOWN.answers[NOISE]})
    worse = samples.answering(known.evidence, answers={CLEAN: bad, NOISE: SHOWN.answers[NOISE]})
    runs = [
        baseline_file.of(replace(one, model=replace(one.model, name=name, sha256=name * 64)))
        for name, one in (("a", good), ("b", worse))
    ]
    beside = replace(known, evidence=replace(known.evidence, baseline=baseline_file.with_pool(runs[0], runs[1:])))

    found = mutant.retrainings(beside)

    assert [(one.model, bool(one.by)) for one in found] == [("a", False), ("b", True)]


def test_interrupted_it_says_in_json_too_that_there_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*asked: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(qualify, "qualify", interrupted)

    code = main(["qualify", "m.keras", "--json", f"--out={tmp_path}"])

    said = json.loads(capsys.readouterr().out)
    assert (code, said["verdict"], said["exit_code"]) == (2, None, 2)
    assert said["error"].startswith("interrupted; 0 mutants are kept")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(only=("label_wrong",)), "there is no operator 'label_wrong'; did you mean labels_wrong?"),
        (Options(only=("zzz",)), "there is no operator 'zzz'; there are labels_wrong, "),
        (Options(minutes=0), "--minutes 0 leaves no time for a mutant; give more than 0"),
        (Options(minutes=float("nan")), "--minutes nan leaves no time"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line_before_anything_starts(options: Options, words: str) -> None:
    request: Any = SimpleNamespace(out=None)

    with pytest.raises(UsageError) as refused:
        qualify.qualify(request, options)

    assert str(refused.value).startswith(words)
    assert "\n" not in str(refused.value)


def found(tmp_path: Path) -> Qualification:
    known = original(tmp_path)
    ladders = tuple(climbed(known, "labels_wrong", "smoothed", "stale", "binarised").values())
    return qualify.summary(known, ladders, (), 0.25)


def test_a_qualification_is_what_its_schema_says_and_reads_as_it_was_written(tmp_path: Path) -> None:
    import jsonschema  # here: its formats take each worker a second

    whole = found(tmp_path)
    (tmp_path / "q.json").write_bytes(qualification_json.dump(whole))

    jsonschema.validate(json.loads(qualification_json.dump(whole)), qualification_json.schema())
    assert qualification_json.load(tmp_path / "q.json") == whole
    kept = Path(harness.__file__).parent / "qualification.schema.json"
    assert json.loads(kept.read_text("utf-8")) == qualification_json.schema()


def test_a_qualification_of_format_1_which_asked_about_everything_is_read(tmp_path: Path) -> None:
    def older(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: older(each) for name, each in value.items() if name != "not_asked"}
        return [older(each) for each in value] if isinstance(value, list) else value

    content = {**older(json.loads(qualification_json.dump(found(tmp_path)))), "format": 1}
    (tmp_path / "q.json").write_text(json.dumps(content))

    read = qualification_json.load(tmp_path / "q.json")

    assert {one.not_asked for ladder in read.ladders for one in ladder.mutants} == {()}


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"format": 1}', '{"format": 2}'])
def test_another_file_is_no_qualification(content: str, tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text(content)

    with pytest.raises(UsageError, match="run harness qualify again"):
        qualification_json.load(tmp_path / "q.json")


def test_a_survivor_is_named_with_a_gate_that_stops_it_and_passes_the_model(tmp_path: Path) -> None:
    known = original(tmp_path, GATES[3:])
    gone = climbed(known, "stale")["stale"].unnoticed

    assert gone is not None
    assert gone.would is not None
    gate = Gate("new", gone.would.metric, gone.would.rule, gone.would.threshold, "", gone.would.scope)
    *_, (evidence, _) = mutant.planted(known, MUTATIONS["stale"], 0.1, gone.seed, known.session.subject)
    assert [judge_all(evaluate(shown, [gate]))[0].status == "passed" for shown in (SHOWN, evidence)] == [True, False]


def test_the_report_shows_the_faults_of_a_qualification_and_an_ordinary_one_has_no_such_section(tmp_path: Path) -> None:
    run = samples.run(SHOWN, samples.FORGIVING, samples.checks())
    whole = found(tmp_path)

    page = report.render(run, SHOWN, None, whole)

    assert '<section id="qualification">' in page
    assert safe.joined(whole.ladders[0].below) in page
    assert page.count("newly read as") > 4
    assert '<section id="qualification">' not in report.render(run, SHOWN, None)


def test_what_a_candidate_is_called_is_inert_in_the_section(tmp_path: Path) -> None:
    run = samples.run(SHOWN, samples.FORGIVING, samples.checks())
    whole = found(tmp_path)
    bad = [replace(one, note=samples.NASTY, said=samples.NASTY, below=samples.NASTY) for one in whole.ladders]
    killed = tuple(replace(one, said=samples.NASTY, by=(samples.NASTY,)) for one in whole.killed)

    page = report.render(run, SHOWN, None, replace(whole, ladders=tuple(bad), killed=killed, idle=(samples.NASTY,)))

    assert "<script>" not in page
    assert "<img src=x" not in page
