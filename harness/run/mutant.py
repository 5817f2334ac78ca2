"""Mutants of a model: each with one fault planted, its answers, and its judgement by the policy.

Those that are finished lie in ``mutants/`` of the output folder, by content: a run that was interrupted goes on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.candidate.mutation import Operator
from harness.candidate.mutation.weights import LEAST, in_probabilities
from harness.candidate.parent.subject import Subject
from harness.corruptions import source
from harness.errors import Refused, SubjectFault, UsageError
from harness.evidence import baseline_file, storage, sweep
from harness.files import forget_drafts, write_whole
from harness.formatting import one_line
from harness.judging import contamination, qualification, simulation
from harness.judging.gates import judge_all
from harness.metrics import Evaluation, evaluate
from harness.metrics.own import own_sources
from harness.outputs import qualification_json
from harness.policy import Policy, trials_of
from harness.records import (
    CLASSES,
    CLEAN,
    LIGHT,
    NO_ANSWER,
    AttackAt,
    Dataset,
    Evidence,
    Finding,
    Gate,
    Groups,
    Images,
    Misread,
    Mutant,
    Probabilities,
    Retraining,
    Trial,
    WouldStop,
)
from harness.run.acceptance import as_evidence
from harness.run.checks import run_checks
from harness.run.finished_run import FinishedRun
from harness.run.measure import silent
from harness.run.session import Session, start_subject, versions

MUTANTS = "mutants"  # folder of the finished ones
MOVED = 1e-5  # a probability that moves by no more is the same
SURELY = 0.99  # chance of being stopped from which, by two gates, a mutant is asked no more
NEAR = 5  # of so many conditions one is asked first: those on which the model lies nearest to a threshold
EXAMPLES = 8  # images kept of a mutant
ASKED = 2  # number of the order in which a mutant is asked: one that was asked in another is judged anew


@dataclass(frozen=True)
class Unmutated:
    """Probabilities of the model without a fault, in files: kept while it is swept, others asked for once."""

    dataset: Dataset
    folder: Path
    needed: frozenset[Trial]  # those kept of a sweep
    known: dict[Trial, Probabilities] = field(default_factory=dict)

    def keep(self, trial: Trial, start: int, rows: Probabilities) -> None:
        """Keep the probabilities of a block that a sweep predicts, where mutants may need them."""
        if trial in self.needed:
            if trial not in self.known:
                self.known[trial] = self._file()
            self.known[trial][start : start + len(rows)] = rows

    def ask(self, subject: Subject, blocks: sweep.Blocks, trials: Sequence[Trial]) -> Mapping[Trial, Probabilities]:
        """Return the probabilities of trials; those that are not known are asked of the model itself."""
        asked = [trial for trial in trials if trial not in self.known]
        if asked:
            subject.mutate()
        stream = subject.stream(blocks(asked))
        for trial in asked:
            rows = self._file()
            for start in sweep.starts(self.dataset):
                rows[start : start + sweep.BLOCK] = next(stream)
            self.known[trial] = rows
        return {trial: self.known[trial] for trial in trials}

    def _file(self) -> Probabilities:
        path, shape = self.folder / f"answers-{len(self.known)}.npy", (len(self.dataset.images), CLASSES)
        return np.lib.format.open_memmap(path, "w+", np.float32, shape)


@dataclass(frozen=True)
class Original:
    """The model without a fault, and what its mutants are judged by."""

    session: Session
    evidence: Evidence  # of the trials that the gates need
    gates: tuple[Gate, ...]  # required ones that do not stop it
    open: frozenset[str]  # ids of findings that stop it itself
    turned: bool  # the check of turned copies can stop a mutant
    blocks: sweep.Blocks  # corrupted images, made once
    unmutated: Unmutated
    reached: tuple[WouldStop, ...]  # gates that it and its retrainings just pass
    key: str  # of everything that determines a mutant but its fault
    needs: Mapping[str, frozenset[Trial]]  # trials of each gate, by its id


class Subjects:
    """The candidate's process, and another one after each that died."""

    def __init__(self, session: Session, stack: ExitStack) -> None:
        self.session, self._stack = session, stack  # with the process that lives

    def restart(self) -> None:
        """Start another process. UsageError where the model's file is another by now."""
        request, before = self.session.request, self.session.subject.facts()
        started = start_subject(request, request.model, self.session.out, self.session.policy)
        subject = self._stack.enter_context(started)
        if subject.facts().sha256 != before.sha256:
            raise UsageError(
                f"{one_line(request.model.name, 120)} was replaced while its mutants were judged; run harness qualify "
                "again"
            )
        self.session = replace(self.session, subject=subject)


def original_of(session: Session, finished: FinishedRun, unmutated: Unmutated) -> Original:
    """Describe the model as what its mutants are judged beside: required gates that it passes, and their trials."""
    stops = {one.id for one in finished.run.findings if _stops(one) or one.waived or one.lowered}
    gates = tuple(gate for gate in _required(session.policy) if f"gate/{gate.id}" not in stops)
    needed, needs = trials_of_all(session.policy, gates), needs_of(session.policy, gates)
    evidence = finished.evidence
    answers = {trial: evidence.answers[trial] for trial in needed if trial in evidence.answers}
    evidence = replace(evidence, predictions=replace(evidence.predictions, answers=answers), trigger=None)
    baseline = evidence.baseline
    parts = [
        *(qualification_json.FORMAT, ASKED, storage.key(evidence.model, evidence.data, evidence.seed, versions())),
        *(session.policy.facts.sha256, [asdict(gate) for gate in gates], sorted(stops)),
        baseline and [asdict(baseline.facts), _digest(*(run.answers for run in baseline.accepted))],
        *(_units(evidence.groups), own_sources(gates), {trial.key: source(trial.name) for trial in answers}),
    ]
    key = sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    reached = qualification.reached([evidence, *_retrained(evidence)])
    evidence = _in_order(evidence, gates, needs)
    blocks = made_once(session.dataset, session.request.seed, unmutated.folder)
    seen = contamination.finding(evidence)
    turned = seen is not None and seen.level == "required" and seen.id not in stops
    return Original(session, evidence, gates, frozenset(stops), turned, blocks, unmutated, reached, key, needs)


def required_trials(policy: Policy) -> frozenset[Trial]:
    """Return the trials that mutants may be asked about: those of the required gates."""
    return frozenset(trials_of_all(policy, _required(policy)))


def _required(policy: Policy) -> list[Gate]:
    """Return the gates that can stop a mutant, which is not searched for triggers."""
    return [gate for gate in policy.gates if gate.level == "required" and gate.metric != "trigger_success"]


def _units(groups: Groups | None) -> list[Any]:
    """Return what determines units and slices, which may be of another file than the images."""
    if groups is None:
        return []
    codes = [] if groups.codes is None else [groups.codes]
    columns = [[name, one.values, _digest(one.codes)] for name, one in groups.columns.items()]
    return [groups.unit, _digest(*codes), columns]


def trials_of_all(policy: Policy, gates: Sequence[Gate]) -> tuple[Trial, ...]:
    """List the trials that gates of a policy need."""
    return replace(policy, gates=tuple(gates), predicted=()).trials()


def needs_of(policy: Policy, gates: Sequence[Gate]) -> dict[str, frozenset[Trial]]:
    """Return by id the trials that each gate needs; of a gate that stands unless it is refuted, those of all gates.

    Refuted is on a p-value adjusted over all of its kind: beside fewer it would be refuted more easily.
    """
    everything = frozenset(trials_of_all(policy, gates))
    return {
        gate.id: everything if gate.decide == "not-disproven" else frozenset({CLEAN, *trials_of(gate)})
        for gate in gates
    }


def _in_order(evidence: Evidence, gates: Sequence[Gate], needs: Mapping[str, frozenset[Trial]]) -> Evidence:
    """Order the answers by how near a gate that asks for them lies to its threshold, in widths of its interval."""
    near: dict[Trial, float] = {}
    for gate, found in zip(gates, judge_all(evaluate(evidence, gates)), strict=True):
        told = found.measurement
        if found.margin is not None and told is not None and len(needs[gate.id]) <= len(evidence.answers) / NEAR:
            for trial in needs[gate.id]:
                near[trial] = min(near.get(trial, math.inf), found.margin / max(told.high - told.low, 1e-9))
    order = sorted(evidence.answers, key=lambda trial: near.get(trial, math.inf))
    answers = {trial: evidence.answers[trial] for trial in order}
    return replace(evidence, predictions=replace(evidence.predictions, answers=answers))


def _stages(trials: Sequence[Trial]) -> tuple[tuple[Trial, ...], ...]:
    """Split the trials: the clean images, light changes of them and the first of the others, the rest."""
    light = [trial for trial in trials if trial in LIGHT]
    others = [trial for trial in trials if trial not in (CLEAN, *LIGHT)]
    few = math.ceil(len(others) / NEAR)
    return tuple(stage for stage in ((CLEAN,), (*light, *others[:few]), tuple(others[few:])) if stage)


def made_once(dataset: Dataset, seed: int, folder: Path) -> sweep.Blocks:
    """Corrupt the images of each trial the first time that they are asked for, into files that all mutants read."""
    made: dict[Trial, NDArray[Any]] = {CLEAN: dataset.images}

    def blocks(trials: Sequence[Trial]) -> Iterator[Images]:
        for trial in trials:
            if trial not in made:
                path = folder / f"{len(made)}.npy"
                images = np.lib.format.open_memmap(path, "w+", np.uint8, dataset.images.shape)
                for start in sweep.starts(dataset):
                    images[start : start + sweep.BLOCK] = sweep.block(dataset.images, trial, seed, start)
                made[trial] = images
            for start in sweep.starts(dataset):
                yield np.asarray(made[trial][start : start + sweep.BLOCK])

    return blocks


def forget(session: Session, *, resume: bool) -> None:
    """Remove the mutants that an earlier run has finished; to ``resume`` only what it had begun to write.

    Where other code than the hashed files may have made the answers, nothing is resumed. UsageError where they cannot
    be removed.
    """
    folder = session.out / MUTANTS
    try:
        forget_drafts(folder, "*.json")
        for path in () if resume and session.subject.hashed else folder.glob("*.json"):
            path.unlink()
    except OSError as error:
        shown = one_line(str(folder), 200)
        raise UsageError(f"{shown} cannot be cleared: {error.strerror}; choose another --out") from error


def of(original: Original, operator: Operator, strength: float, seed: int, subjects: Subjects) -> Mutant:
    """Judge one mutant, or read what an earlier run of the same content said of it."""
    named = json.dumps([original.key, operator.name, strength, seed])
    path = original.session.out / MUTANTS / f"{sha256(named.encode()).hexdigest()[:32]}.json"
    kept = qualification_json.load_mutant(path)
    if kept is not None:
        return kept
    made = _judged(original, operator, strength, seed, subjects)
    write_whole(path, qualification_json.dump_mutant(made))
    return made


def _judged(
    original: Original, operator: Operator, strength: float, seed: int, subjects: Subjects, *, again: bool = False
) -> Mutant:
    """Judge one mutant; where its process dies ``again`` in another one, since limits are of all that one has done."""
    named = Mutant(operator.name, strength, seed, "passed")
    try:
        if operator.family == "preprocessing":
            subjects.session.subject.mutate(operator.name, strength, seed)
            suite = "test_one_hot.py" if operator.name.startswith("one_hot") else "test_normalization.py"
            by = _stopping_checks(original, subjects.session, suite)
            return replace(named, status="stopped" if by else "passed", chance=float(bool(by)), by=by)
        for evidence, asked in planted(original, operator, strength, seed, subjects.session.subject):
            evaluation, chance = evaluate(evidence, asked), None
            if len(evidence.answers) == len(original.evidence.answers):
                break
            if _is_unlike(evidence) and (chance := _sure_chance(evaluation)) is not None:
                break
        checks = partial(_stopping_checks, original, subjects.session, "test_contract.py")
        return judged(original, evaluation, named, checks, chance)
    except (SubjectFault, Refused) as fault:
        subjects.session.subject.close()
        subjects.restart()
        if isinstance(fault, SubjectFault) and not again:
            return _judged(original, operator, strength, seed, subjects, again=True)
        return replace(named, status="crashed", why=one_line(str(fault), 200))


def planted(
    original: Original, operator: Operator, strength: float, seed: int, subject: Subject
) -> Iterator[tuple[Evidence, tuple[Gate, ...]]]:
    """Yield what the mutant answers to more and more of the trials, each time with the gates that these suffice for.

    The last time to all trials, with all gates. Unmutable where the fault has no place in it.
    """
    evidence = original.evidence
    drawn = seed if operator.turns else 1000 * evidence.seed + seed
    if operator.family == "labels":
        yield replace(evidence, labels=operator.function(evidence.labels, strength, drawn)), original.gates
        return
    if operator.family == "answers":
        answers = {trial: operator.function(said, strength, drawn) for trial, said in evidence.answers.items()}
        rows = operator.function(evidence.probabilities, strength, drawn)
        light = {trial: operator.function(each, strength, drawn) for trial, each in evidence.light.items()}
        predictions = replace(evidence.predictions, answers=answers, probabilities=rows)
        yield replace(evidence, predictions=predictions, light=light), original.gates
        return
    in_child = operator.family == "weights"

    def spoiled(trials: Sequence[Trial]) -> Iterator[Images]:
        for images in original.blocks(trials):
            yield images if in_child else operator.function(images, strength, drawn)

    fed: Any = operator.under if operator.under and strength else None
    predicted = sweep.predict_locally(subject, original.session.dataset, spoiled, under=fed)
    made = partial(in_probabilities, operator.function, strength=strength, seed=drawn)
    arrays: dict[Trial, Any] = {}
    stages, gone = _stages(tuple(evidence.answers)), set[Trial]()
    for trials in stages:
        computed = _computed(original, subject, made, trials, arrays[CLEAN]) if arrays and operator.of_logits else {}
        if not computed:
            subject.mutate(operator.name if in_child else "", strength, drawn)
        arrays |= computed or predicted(trials, silent)
        gone |= {*trials}
        predictions = replace(
            evidence.predictions,
            answers={trial: each["answers"] for trial, each in arrays.items()},
            probabilities=arrays[CLEAN]["probabilities"],
        )
        light = {trial: arrays[trial]["probabilities"] for trial in LIGHT if trial in arrays}
        asked = tuple(gate for gate in original.gates if original.needs[gate.id] <= gone)
        whole = trials == stages[-1]  # with the gates whose trials have no answers
        yield replace(evidence, predictions=predictions, light=light), original.gates if whole else asked


def _computed(
    original: Original,
    subject: Subject,
    made: Callable[[Probabilities], Probabilities],
    trials: Sequence[Trial],
    clean: sweep.TrialArrays,
) -> dict[Trial, sweep.TrialArrays]:
    """Compute a mutant's answers from the model's own, of whose probabilities ``made`` makes the mutant's.

    Empty where the mutant is to be asked itself: its answers to clean images do not follow so (no softmax at the end),
    a probability is too small for its logarithm, or a trial is an attack, which moves images by the mutant's gradients.
    """
    if any(isinstance(trial, AttackAt) for trial in trials):
        return {}
    apart = np.abs(made(original.evidence.probabilities) - clean["probabilities"])
    own = original.unmutated.ask(subject, original.blocks, trials) if (apart <= MOVED).all() else {}
    if not all((rows >= LEAST).all() for rows in own.values()):
        return {}
    said = ((trial, made(rows)) for trial, rows in own.items())
    return {trial: {"answers": storage.classes_of(rows), "probabilities": rows} for trial, rows in said}


def _is_unlike(evidence: Evidence) -> bool:
    """Tell whether most images have probabilities of their own, so that another mutant with the same is the same one.

    Mutants that answer NaN, or 1 for one digit and 0 for the others, may answer alike on some trials only.
    """
    rows = evidence.probabilities
    return 2 * len({row.tobytes() for row in rows}) > len(rows)


def _sure_chance(evaluation: Evaluation) -> float | None:
    """Return the chance with which a mutant is stopped, where no other answer of it could change what is known.

    None where it is smaller than ``SURELY``, or fewer than two gates stop: with two, none stops it alone, whatever
    the gates would say that were not asked.
    """
    if sum(_stops(one) for one in judge_all(evaluation)) < 2:
        return None
    chance = 1.0 if evaluation.missing else chance_stopped(evaluation)
    return None if chance is None or chance < SURELY else chance


def judged(
    original: Original,
    evaluation: Evaluation,
    named: Mutant,
    checks: Callable[[], tuple[str, ...]],
    chance: float | None = None,
) -> Mutant:
    """Judge a mutant by the gates that were asked; ``checks`` are asked where it answers no probabilities.

    ``chance``: with which these gates stop it, where it is known.
    """
    before, evidence, asked = original.evidence, evaluation.evidence, {gate.id for gate in evaluation.gates}
    digest = _digest({**evidence.answers}, evidence.probabilities, evidence.labels)
    named = replace(named, digest=digest)
    if _is_equivalent(before, evidence):
        return replace(named, status="equivalent")
    by = tuple(one.id for one in judge_all(evaluation) if _stops(one))
    seen = contamination.finding(evidence)
    unturned = (contamination.ID,) if original.turned and not evidence.light else ()
    surely = bool(evaluation.missing)
    if seen is not None and _stops(seen) and seen.id not in original.open:
        by, surely = (*by, seen.id), True
    if not _are_probabilities(evidence) and (failing := checks()):
        by, surely = (*failing, *by), True
    if chance is None and not surely:
        chance = chance_stopped(evaluation)
    recalls = [accuracy(evidence, digit) for digit in range(CLASSES)]
    worst = min((at for at, one in enumerate(recalls) if one is not None), key=lambda at: recalls[at] or 0.0)
    lost = np.flatnonzero((before.answers[CLEAN] == before.labels) & (evidence.answers[CLEAN] != before.labels))
    sure = lost[np.argsort(-before.probabilities[lost].max(axis=1), kind="stable")][:EXAMPLES]
    answered = evidence.answers[CLEAN]
    return replace(
        named,
        status="stopped" if by else "passed",
        chance=1.0 if surely else float(bool(by)) if chance is None else chance,
        by=by,
        not_asked=(*(f"gate/{gate.id}" for gate in original.gates if gate.id not in asked), *unturned),
        accuracy=accuracy(evidence),
        worst_recall=recalls[worst],
        worst_digit=worst,
        newly_wrong=len(lost),
        would=None if by else qualification.would_stop(original.reached, evidence),
        examples=tuple(Misread(int(at), int(before.labels[at]), int(answered[at])) for at in sure),
    )


def chance_stopped(evaluation: Evaluation) -> float | None:
    """Return the chance of being stopped by the gates on other images of the kind."""
    released = simulation.released(evaluation)
    return None if released is None else 1 - released


def retrainings(original: Original) -> tuple[Retraining, ...]:
    """Judge each of the accepted runs as a candidate, beside the others or, being alone, beside the model."""
    evidence, results = original.evidence, []
    runs = _retrained(evidence)
    for at, run in enumerate(runs):
        others = [*runs[:at], *runs[at + 1 :]] or [replace(evidence, baseline=None)]
        rest = [baseline_file.of(each) for each in others]
        beside = replace(run, baseline=baseline_file.with_pool(rest[0], rest[1:]) if rest[1:] else rest[0], light={})
        by = tuple(one.id for one in judge_all(evaluate(beside, original.gates)) if _stops(one))
        results.append(Retraining(run.model.name, run.model.sha256, by))
    return tuple(results)


def _retrained(evidence: Evidence) -> list[Evidence]:
    """Return evidence of the accepted runs, without the model itself."""
    if evidence.baseline is None:
        return []
    runs = [as_evidence(evidence, evidence.baseline, at) for at in range(len(evidence.baseline.accepted))]
    return [run for run in runs if run.model.sha256 != evidence.model.sha256]


def accuracy(evidence: Evidence, digit: int | None = None) -> float | None:
    """Return the share of the clean images, or of those of a digit, that are read right; None where there are none."""
    right = evidence.answers[CLEAN] == evidence.labels
    right = right if digit is None else right[evidence.labels == digit]
    return float(right.mean()) if len(right) else None


def _is_equivalent(before: Evidence, after: Evidence) -> bool:
    if not np.array_equal(before.labels, after.labels):
        return False
    same = all(np.array_equal(said, before.answers[trial]) for trial, said in after.answers.items())
    moved = np.abs(after.probabilities.astype(np.float64) - before.probabilities)
    return same and bool((moved <= MOVED).all())


def _are_probabilities(evidence: Evidence) -> bool:
    rows = evidence.probabilities
    said = all((answers != NO_ANSWER).all() for answers in evidence.answers.values())
    return said and bool((rows >= 0).all() and (abs(rows.sum(axis=1, dtype=np.float64) - 1) < 1e-3).all())


def _stopping_checks(original: Original, session: Session, suite: str) -> tuple[str, ...]:
    """Run a suite on the mutant; return the checks that stop it, and do not stop the model."""
    return tuple(one.id for one in run_checks(session, suite) if _stops(one) and one.id not in original.open)


def _stops(finding: Finding) -> bool:
    """Tell whether a finding keeps a release back."""
    return finding.level == "required" and not finding.waived and finding.status != "passed"


def _digest(*parts: Any) -> str:
    digest = sha256()
    for part in parts:
        for _, array in sorted(part.items()) if isinstance(part, Mapping) else [(None, part)]:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
