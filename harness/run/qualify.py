"""Qualification of a policy: faults of growing strength, planted in a model that it lets through and judged by it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from harness.candidate.mutation import FAMILIES, MUTATIONS, Operator, closest
from harness.errors import Unmutable, UsageError
from harness.evidence.sweep import Progress
from harness.formatting import one_line
from harness.judging import qualification
from harness.metrics import evaluate
from harness.records import Ladder, Mutant, Qualification, Retraining
from harness.run import mutant
from harness.run.finished_run import write
from harness.run.judge import check_out, judge_evidence, timed_checks
from harness.run.measure import beside_baseline, measure_candidate, silent
from harness.run.session import Request, Session, claim, open_session
from harness.sandbox import temporary

CRASHES = 3  # in a row, that end an operator


@dataclass(frozen=True)
class Options:
    """Options of a qualification."""

    only: tuple[str, ...] = ()  # operators; all without
    minutes: float = 10.0
    anyway: bool = False  # also of a model that is not allowed itself
    resume: bool = False  # mutants that an earlier run has finished are not judged again


def qualify(request: Request, options: Options, progress: Progress = silent) -> Qualification:
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
        folder = stack.enter_context(temporary.temporary())
        unmutated = mutant.Unmutated(session.dataset, folder, mutant.required_trials(session.policy))
        evidence = beside_baseline(session, measure_candidate(session, seen=unmutated.keep))
        finished = judge_evidence(session, evidence, checks)
        if finished.run.verdict.exit_code and not options.anyway:
            raise UsageError(
                f"{one_line(request.model.name, 120)} is not allowed itself, so its mutants would teach nothing: "
                f"{one_line(finished.run.verdict.sentence, 300)} Mend it, or go on with --anyway"
            )
        mutant.forget(session, resume=options.resume)
        original = mutant.original_of(session, finished, unmutated)
        if not original.gates:
            raise UsageError(
                f"{one_line(request.model.name, 120)} passes no required gate of "
                f"{one_line(session.policy.facts.file, 120)}, so that none is left to notice a fault; take a model "
                "that passes some, or another --policy"
            )
        subjects = mutant.Subjects(session, stack)
        ladders = climb(original, operators, subjects, lambda: time.monotonic() > until, progress)
        chance = mutant.chance_stopped(evaluate(original.evidence, original.gates))
        result = summary(original, ladders, mutant.retrainings(original), chance)
        if request.out is not None:
            write(replace(finished, qualification=result), session.out)
        return result


def chosen(names: Sequence[str]) -> tuple[Operator, ...]:
    """Return the operators of these names, or all. UsageError, with the name it is closest to, where there is none."""
    known = sorted(MUTATIONS.values(), key=lambda one: FAMILIES.index(one.family))  # first what costs least
    for name in names:
        if name not in MUTATIONS:
            near = closest(name)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(one.name for one in known)}"
            raise UsageError(f"there is no operator {one_line(name, 60)!r}; {hint}")
    return tuple(one for one in known if one.name in names or not names)


def _check_required(session: Session) -> None:
    if not any(gate.level == "required" for gate in session.policy.gates):
        raise UsageError(
            f"{one_line(session.policy.facts.file, 120)} holds no required gate, so that it stops nothing; take "
            "level = 'warning' off those that a release needs"
        )


def climb(
    original: mutant.Original,
    operators: Sequence[Operator],
    subjects: mutant.Subjects,
    late: Callable[[], bool],
    progress: Progress = silent,
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


def _after(progress: Progress, before: int, whole: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, whole)


def _expected(operator: Operator) -> int:
    """Estimate how many mutants the search takes."""
    return min(len(operator.ladder), 3) * len(operator.seeds) + max(0, len(operator.turns) - 1)


def _climbed(
    original: mutant.Original,
    operator: Operator,
    subjects: mutant.Subjects,
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
                mutants.append(mutant.of(original, operator, operator.ladder[at], seed, subjects))
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


def summary(
    original: mutant.Original, ladders: Sequence[Ladder], retrained: tuple[Retraining, ...], chance: float | None
) -> Qualification:
    """Sum up what the policy noticed, first the operator whose fault costs the most unnoticed."""
    evidence, facts = original.evidence, original.session.policy.facts
    accuracy = mutant.accuracy(evidence) or 0.0
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
