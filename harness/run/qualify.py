"""Qualification of a policy: faults of growing strength are planted in a model that it lets through, each is judged by
it, and what it notices and what not is kept.

Mutants that are finished lie in ``mutants/`` of the output folder, by content: a run that was interrupted goes on.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.candidate.mutation import FAMILIES, MUTATIONS, Operator, closest
from harness.candidate.parent.subject import Subject
from harness.errors import Refused, SubjectFault, Unmutable, UsageError
from harness.evidence import baseline_file, storage, sweep
from harness.files import write_whole
from harness.formatting import one_line
from harness.judging import contamination, qualification, simulation
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.outputs import qualification_json
from harness.records import (
    CLASSES,
    CLEAN,
    LIGHT,
    NO_ANSWER,
    Dataset,
    Evidence,
    Finding,
    Gate,
    Images,
    Ladder,
    Misread,
    Mutant,
    Power,
    Qualification,
    Retraining,
    Trial,
    WouldStop,
)
from harness.run.acceptance import as_evidence
from harness.run.checks import run_checks
from harness.run.finished_run import FinishedRun, write
from harness.run.judge import check_out, judge_evidence, timed_checks
from harness.run.measure import measure, silent
from harness.run.session import Request, Session, claim, open_session, start_subject, versions
from harness.sandbox import temporary

MUTANTS = "mutants"  # folder of the finished ones
MOVED = 1e-5  # a probability that moves by no more is the same
EXAMPLES = 8  # images kept of a mutant
CRASHES = 3  # in a row, that end an operator


@dataclass(frozen=True)
class Options:
    """Options of a qualification."""

    only: tuple[str, ...] = ()  # operators; all without
    minutes: float = 10.0
    anyway: bool = False  # also of a model that is not allowed itself
    resume: bool = False  # mutants that an earlier run has finished are not judged again


@dataclass(frozen=True)
class Original:
    """The model without a fault, and what its mutants are judged by."""

    session: Session
    evidence: Evidence  # of the trials that the gates need
    gates: tuple[Gate, ...]  # required ones that do not stop it
    open: frozenset[str]  # ids of findings that stop it itself
    blocks: sweep.Blocks  # corrupted images, made once
    reached: tuple[WouldStop, ...]  # gates that it and its retrainings just pass
    key: str  # of everything that determines a mutant but its fault

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Return the trials that a mutant answers."""
        return tuple(self.evidence.answers)


def qualify(request: Request, options: Options, progress: sweep.Progress = silent) -> Qualification:
    """Judge a model, then its mutants by the same policy. UsageError where nothing can be learned from it.

    ``progress``: of the mutants. What is finished is kept where this is interrupted.
    """
    operators = chosen(options.only)
    if not (math.isfinite(options.minutes) and options.minutes > 0):
        raise UsageError(f"--minutes {options.minutes:g} leaves no time for a mutant; give more than 0")
    if request.out is not None:
        check_out(request.out)
    until = time.monotonic() + 60 * options.minutes
    with ExitStack() as stack:
        session = stack.enter_context(open_session(request))
        _check_required(session)
        stack.enter_context(claim(session))
        checks = timed_checks(session)
        finished = judge_evidence(session, measure(session), checks)
        if finished.run.verdict.exit_code and not options.anyway:
            raise UsageError(
                f"{one_line(request.model.name, 120)} is not allowed itself, so its mutants would teach nothing: "
                f"{one_line(finished.run.verdict.sentence, 300)} Mend it, or go on with --anyway"
            )
        if not options.resume:
            for path in (session.out / MUTANTS).glob("*.json"):
                path.unlink()
        folder = stack.enter_context(temporary.temporary())
        original = _original(session, finished, made_once(session.dataset, request.seed, folder))
        theatre = _Subjects(session, stack)
        ladders = climb(original, operators, theatre, lambda: time.monotonic() > until, progress)
        found = summary(original, ladders, retrainings(original), _chance(original, original.evidence))
        if request.out is not None:
            write(replace(finished, qualification=found), session.out)
        return found


def chosen(names: Sequence[str]) -> tuple[Operator, ...]:
    """Return the operators of these names, or all. UsageError, with the name it is closest to, where there is none."""
    known = sorted(MUTATIONS.values(), key=lambda one: FAMILIES.index(one.family))  # first what costs least
    for name in names:
        if name not in MUTATIONS:
            near = closest(name)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(one.name for one in known)}"
            raise UsageError(f"there is no operator {one_line(name, 60)!r}; {hint}")
    return tuple(one for one in known if one.name in names or not names)


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


class _Subjects:
    """The candidate's process, and another one after each that died."""

    def __init__(self, session: Session, stack: ExitStack) -> None:
        self._session, self._stack = session, stack

    @property
    def session(self) -> Session:
        """Return the session with the process that lives."""
        return self._session

    def restart(self) -> None:
        """Start another process."""
        request = self._session.request
        subject = start_subject(request, request.model, self._session.out, self._session.policy)
        self._session = replace(self._session, subject=self._stack.enter_context(subject))


def climb(
    original: Original,
    operators: Sequence[Operator],
    subjects: _Subjects,
    late: Callable[[], bool],
    progress: sweep.Progress = silent,
) -> tuple[Ladder, ...]:
    """Search the ladder of each operator for the strength from which the policy stops it."""
    sizes = [_expected(operator) for operator in operators]
    ladders = []
    for number, operator in enumerate(operators):
        report = _after(progress, sum(sizes[:number]), sum(sizes))
        report(0)
        ladders.append(_climbed(original, operator, subjects, late, report))
    progress(sum(sizes), sum(sizes))
    return tuple(ladders)


def _after(progress: sweep.Progress, before: int, whole: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, whole)


def _expected(operator: Operator) -> int:
    """Estimate how many mutants the search takes."""
    return min(len(operator.ladder), 3) * len(operator.seeds) + max(0, len(operator.turns) - 1)


def _climbed(
    original: Original,
    operator: Operator,
    subjects: _Subjects,
    late: Callable[[], bool],
    progress: Callable[[int], None],
) -> Ladder:
    chances: dict[int, float] = {}
    mutants: list[Mutant] = []
    note = ""

    def judged(at: int, seeds: Sequence[int]) -> list[Mutant]:
        nonlocal note
        some = []
        for seed in seeds:
            if late():
                note = "time ran out"
            elif all(one.status == "crashed" for one in mutants[-CRASHES:]) and len(mutants) >= CRASHES:
                note = f"{CRASHES} mutants in a row crashed: {mutants[-1].why}"
            if note:
                break
            try:
                mutants.append(_mutant(original, operator, operator.ladder[at], seed, subjects))
            except Unmutable as reason:
                note = f"skipped: {one_line(str(reason), 120)}"
                break
            some.append(mutants[-1])
            progress(min(len(mutants), _expected(operator)))
        return some

    while not note and (at := qualification.next_rung(chances, len(operator.ladder))) is not None:
        some = [one for one in judged(at, operator.seeds) if one.status != "crashed"]
        if not note:
            chances[at] = float(np.mean([one.chance for one in some])) if some else 1.0
    searched = tuple(sorted(mutants, key=lambda one: (operator.ladder.index(one.strength), one.seed)))
    first = next((at for at in sorted(chances) if chances[at] >= qualification.LIKELY), None)
    turns: tuple[int, ...] = ()
    if first is not None and not note:
        others = judged(first, [seed for seed in operator.turns if seed not in operator.seeds])
        turns = tuple(one.seed for one in others if one.status == "passed")
    return ladder_of(operator, searched, chances, turns, note)


def ladder_of(
    operator: Operator, mutants: tuple[Mutant, ...], chances: Mapping[int, float], turns: tuple[int, ...], note: str
) -> Ladder:
    """Sum up the mutants of an operator; ``chances``: of the rungs judged, of being stopped."""
    rungs = sorted(chances)
    strengths = operator.ladder
    place = None
    if rungs:
        place = qualification.detectable([operator.place(strengths[at]) for at in rungs], [chances[at] for at in rungs])
    strength = None if place is None else operator.at(place)
    from_first = len(strengths) > 1 and bool(rungs) and rungs[0] == 0 and chances[0] >= qualification.LIKELY
    through = [at for at in rungs if chances[at] < qualification.LIKELY]
    passed = [one for one in mutants if through and one.strength == strengths[through[-1]] and one.status == "passed"]
    return Ladder(
        operator.name,
        operator.family,
        strengths,
        mutants,
        qualification.shares(strengths, mutants),
        strength,
        from_first,
        operator.words(strengths[0] if from_first else strength) if strength is not None else "",
        operator.words(strengths[through[-1]]) if through else "",
        min(passed, key=lambda one: (one.accuracy or 0.0, one.worst_recall or 0.0), default=None),
        turns,
        note,
    )


def _original(session: Session, finished: FinishedRun, blocks: sweep.Blocks) -> Original:
    stops = {one.id for one in finished.run.findings if _stops(one) or one.waived}
    asked = [gate for gate in session.policy.gates if gate.metric != "trigger_success"]  # no mutant is searched
    gates = tuple(gate for gate in asked if gate.level == "required" and f"gate/{gate.id}" not in stops)
    needed = replace(session.policy, gates=gates, predicted=()).trials()
    evidence = finished.evidence
    answers = {trial: evidence.answers[trial] for trial in needed if trial in evidence.answers}
    evidence = replace(evidence, predictions=replace(evidence.predictions, answers=answers), trigger=None)
    baseline = evidence.baseline
    parts = [
        *(qualification_json.FORMAT, storage.key(evidence.model, evidence.data, evidence.seed, versions())),
        *(session.policy.facts.sha256, [asdict(gate) for gate in gates], sorted(stops)),
        baseline and [asdict(baseline.facts), _digest(*(run.answers for run in baseline.accepted))],
    ]
    key = sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    reached = qualification.reached([evidence, *_retrained(evidence)])
    return Original(session, evidence, gates, frozenset(stops), blocks, reached, key)


def _check_required(session: Session) -> None:
    if not any(gate.level == "required" for gate in session.policy.gates):
        raise UsageError(
            f"{one_line(session.policy.facts.file, 120)} holds no required gate, so that it stops nothing; take "
            "level = 'warning' off those that a release needs"
        )


def _mutant(original: Original, operator: Operator, strength: float, seed: int, subjects: _Subjects) -> Mutant:
    """Judge one mutant, or read what an earlier run of the same content said of it."""
    named = json.dumps([original.key, operator.name, strength, seed])
    path = original.session.out / MUTANTS / f"{sha256(named.encode()).hexdigest()[:32]}.json"
    kept = qualification_json.load_mutant(path)
    if kept is not None:
        return kept
    made = _judged(original, operator, strength, seed, subjects)
    write_whole(path, qualification_json.dump_mutant(made))
    return made


def _judged(original: Original, operator: Operator, strength: float, seed: int, subjects: _Subjects) -> Mutant:
    named = Mutant(operator.name, strength, seed, "passed")
    try:
        if operator.family == "preprocessing":
            subjects.session.subject.mutate(operator.name, strength, seed)
            suite = "test_one_hot.py" if operator.name.startswith("one_hot") else "test_normalization.py"
            by = _stopping_checks(original, subjects.session, suite)
            return replace(named, status="stopped" if by else "passed", chance=float(bool(by)), by=by)
        evidence = planted(original, operator, strength, seed, subjects.session.subject)
        return judged(
            original, evidence, named, lambda: _stopping_checks(original, subjects.session, "test_contract.py")
        )
    except (SubjectFault, Refused) as fault:
        subjects.session.subject.close()
        subjects.restart()
        return replace(named, status="crashed", why=one_line(str(fault), 200))


def planted(original: Original, operator: Operator, strength: float, seed: int, subject: Subject) -> Evidence:
    """Return what the mutant answers to the trials of the gates. Unmutable where the fault has no place in it."""
    evidence = original.evidence
    drawn = seed if operator.turns else 1000 * evidence.seed + seed
    if operator.family == "labels":
        return replace(evidence, labels=operator.function(evidence.labels, strength, drawn))
    if operator.family == "answers":
        answers = {trial: operator.function(said, strength, drawn) for trial, said in evidence.answers.items()}
        rows = operator.function(evidence.probabilities, strength, drawn)
        light = {trial: operator.function(each, strength, drawn) for trial, each in evidence.light.items()}
        predictions = replace(evidence.predictions, answers=answers, probabilities=rows)
        return replace(evidence, predictions=predictions, light=light)
    in_child = operator.family == "weights"
    subject.mutate(operator.name if in_child else "", strength, drawn)

    def spoiled(trials: Sequence[Trial]) -> Iterator[Images]:
        for images in original.blocks(trials):
            yield images if in_child else operator.function(images, strength, drawn)

    fed: Any = operator.under if operator.under and strength else None
    predicted = sweep.predict_locally(subject, original.session.dataset, spoiled, under=fed)
    arrays = dict(predicted(original.trials, silent))
    predictions = replace(
        evidence.predictions,
        answers={trial: each["answers"] for trial, each in arrays.items()},
        probabilities=arrays[CLEAN]["probabilities"],
    )
    light = {trial: arrays[trial]["probabilities"] for trial in LIGHT if trial in arrays}
    return replace(evidence, predictions=predictions, light=light)


def judged(original: Original, evidence: Evidence, named: Mutant, checks: Callable[[], tuple[str, ...]]) -> Mutant:
    """Judge what a mutant answered by the policy; ``checks`` are asked where its answers are no probabilities."""
    before = original.evidence
    digest = _digest({**evidence.answers}, evidence.probabilities, evidence.labels)
    named = replace(named, digest=digest)
    if _is_equivalent(before, evidence):
        return replace(named, status="equivalent")
    evaluation = evaluate(evidence, original.gates)
    by = tuple(one.id for one in judge_all(evaluation) if _stops(one))
    seen = contamination.finding(evidence)
    surely = bool(evaluation.missing)
    if seen is not None and _stops(seen) and seen.id not in original.open:
        by, surely = (*by, seen.id), True
    if not _are_probabilities(evidence) and (failing := checks()):
        by, surely = (*failing, *by), True
    released = simulation.simulate(Power((), 0, None), evaluation).released
    chance = 1.0 if surely else float(bool(by)) if released is None else 1 - released
    recalls = [_mean(evidence, evidence.labels == digit) for digit in range(CLASSES)]
    worst = min((at for at, one in enumerate(recalls) if one is not None), key=lambda at: recalls[at] or 0.0)
    lost = np.flatnonzero((before.answers[CLEAN] == before.labels) & (evidence.answers[CLEAN] != before.labels))
    sure = lost[np.argsort(-before.probabilities[lost].max(axis=1), kind="stable")][:EXAMPLES]
    answered = evidence.answers[CLEAN]
    return replace(
        named,
        status="stopped" if by else "passed",
        chance=chance,
        by=by,
        accuracy=_mean(evidence, np.ones(len(evidence.labels), bool)),
        worst_recall=recalls[worst],
        worst_digit=worst,
        newly_wrong=len(lost),
        would=None if by else qualification.would_stop(original.reached, evidence),
        examples=tuple(Misread(int(at), int(before.labels[at]), int(answered[at])) for at in sure),
    )


def _chance(original: Original, evidence: Evidence) -> float | None:
    """Return the chance of being stopped by the gates on other images of the kind."""
    released = simulation.simulate(Power((), 0, None), evaluate(evidence, original.gates)).released
    return None if released is None else 1 - released


def _mean(evidence: Evidence, mask: NDArray[np.bool_]) -> float | None:
    right = (evidence.answers[CLEAN] == evidence.labels)[mask]
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


def summary(
    original: Original, ladders: Sequence[Ladder], retrained: tuple[Retraining, ...], chance: float | None
) -> Qualification:
    """Sum up what the policy noticed, first the operator whose fault costs the most unnoticed."""
    evidence, facts = original.evidence, original.session.policy.facts
    accuracy = _mean(evidence, np.ones(len(evidence.labels), bool)) or 0.0
    ran = [ladder for ladder in ladders if ladder.mutants]
    scored = [ladder for ladder in ran if ladder.family != "preprocessing"]
    gates = tuple(f"gate/{gate.id}" for gate in original.gates)

    def cost(ladder: Ladder) -> float:
        left = ladder.unnoticed.accuracy if ladder.unnoticed else None
        return -1.0 if left is None else accuracy - left

    return Qualification(
        evidence.model.name,
        evidence.model.sha256,
        evidence.data.sha256,
        facts.name,
        facts.sha256,
        accuracy,
        chance,
        qualification.score(scored),
        retrained,
        tuple(sorted(ladders, key=lambda one: (not one.mutants, -cost(one), one.operator))),
        qualification.killed(ran, lambda name, strength: MUTATIONS[name].words(strength)),
        qualification.idle(gates, ran),
        qualification.never_alone(gates, ran),
        qualification.cover(ran),
        tuple(ladder.operator for ladder in ladders if ladder.note == "time ran out"),
    )
