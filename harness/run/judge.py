"""The stages in order: one candidate from its request to its finished run."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.evidence.sweep import Progress
from harness.formatting import one_line
from harness.judging.gates import judge_all
from harness.metrics import Evaluation, evaluate
from harness.records import Evidence, Finding
from harness.run.build_run import build_run
from harness.run.checks import run_checks
from harness.run.finished_run import FinishedRun, session_facts, write
from harness.run.measure import measure, silent
from harness.run.session import Request, Session, claim, open_session
from harness.run.uses import record, used_up, uses_of


def judge(request: Request, progress: Progress = silent) -> FinishedRun:
    """Judge one candidate; write the outputs where the request names a folder. UsageError where it cannot be judged."""
    if request.out is not None:
        check_out(request.out)
    with open_session(request) as session:
        importlib.import_module("hypothesis")  # slow to import, and the child still loads Keras
        with claim(session):
            checks = timed_checks(session)  # first: a check names the cause of answers that a sweep cannot use
            return judge_evidence(session, measure(session, progress), checks)


def timed_checks(session: Session) -> tuple[Finding, ...]:
    """Run the checks and record how long they took."""
    with session.stopwatch.part("checks"):
        return run_checks(session)


def judge_evidence(session: Session, evidence: Evidence, checks: Sequence[Finding]) -> FinishedRun:
    """Judge the gates on evidence that has been measured, beside the findings of the checks."""
    evaluation, gates = judge_gates(session, evidence)
    return finish(session, evaluation, [*checks, *gates])


def judge_gates(session: Session, evidence: Evidence) -> tuple[Evaluation, tuple[Finding, ...]]:
    """Estimate what the gates of the policy ask for, and judge each."""
    evaluation = evaluate(evidence, session.policy.gates)
    rules = session.policy
    return evaluation, tuple(one.ruled(rules.lowered, rules.waivers) for one in judge_all(evaluation))


def finish(session: Session, evaluation: Evaluation, findings: Sequence[Finding]) -> FinishedRun:
    """Build the Run from the findings and, where the request names a folder, write it."""
    evidence, ledger, rules = evaluation.evidence, session.request.ledger, session.policy
    counted = uses_of(ledger, evidence, rules) if ledger else None
    findings = [*findings, used_up(rules, counted)] if counted and rules.uses else findings
    run = build_run(evaluation, rules, findings, session.request.command(), counted)
    finished = FinishedRun(run, evidence, session_facts(session.stopwatch.seconds, evidence))
    if ledger:
        record(ledger, finished, session.out)  # first: a verdict that nobody remembers must not be left
    if session.request.out is not None:
        write(finished, session.out, junit_times=session.request.junit_times)
    return finished


def check_out(out: Path) -> None:
    """Raise UsageError where no output folder can be."""
    shown = one_line(str(out), 200)
    try:
        taken = out.exists() and not out.is_dir()
    except OSError as error:  # a name too long, a folder that may not be entered
        raise UsageError(f"{shown} cannot be written into: {error.strerror}; choose another --out") from error
    if taken:
        raise UsageError(f"{shown} is a file; --out names a folder")
