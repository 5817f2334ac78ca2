"""The stages from the evaluation on: finished evidence, judged again."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

from harness import policy
from harness.errors import UsageError
from harness.evidence import storage
from harness.formatting import command_line, one_line
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.outputs import run_json
from harness.run.build_run import build_run
from harness.run.finished_run import FinishedRun, open_finished, write
from harness.run.session import check_ledger, lock
from harness.run.uses import USED_UP, record, used_up, uses_of


def rejudge(
    out: Path, policy_file: Path, today: date, to: Path | None = None, ledger: Path | None = None
) -> FinishedRun:
    """Judge the evidence in ``out`` by another policy and replace the outputs; the findings of checks stay.

    ``today``: the day that waivers are held against. ``to``: a folder for the outputs, beside links to the evidence;
    what is in ``out`` then stays. ``ledger``: the file that remembers every verdict. UsageError where ``to`` holds a
    record by another policy.
    """
    before = open_finished(out)
    rules = policy.load(policy_file)
    policy.check_against(rules, before.evidence.data)
    policy.check_waivers(rules, today)
    check_ledger(rules, ledger)
    if rules.preprocessing and not rules.preprocessing.fed(before.run.model):
        raise UsageError(
            f"{rules.where_preprocessing}: the run in {one_line(str(out), 200)} was fed otherwise; judge the model "
            "anew: harness run"
        )
    checks = [one for one in before.run.findings if one.kind == "check" and one.id != USED_UP]
    counted = uses_of(ledger, before.evidence, rules) if ledger else None
    checks += [used_up(rules, counted)] if counted and rules.uses else []
    where = [] if to is None else ["--out", str(to)]
    where += ["--ledger", str(ledger)] if ledger else []
    command = command_line(["harness", "gate", str(out), "--policy", str(policy_file), *where])
    evaluation = evaluate(before.evidence, rules.gates)
    run = build_run(evaluation, rules, [*checks, *judge_all(evaluation)], command, counted)
    after = replace(before, run=run, qualification=None)
    with lock(to or out):
        if to is not None:
            _link_evidence(out, to, after)
        if ledger:
            record(ledger, after, to or out)
        write(after, to or out)
    return after


def _link_evidence(out: Path, to: Path, after: FinishedRun) -> None:
    """Put the evidence of ``out`` into ``to`` too, which is empty or holds a record of it by the same policy."""
    shown = one_line(str(to), 200)
    if (to / "run.json").exists():
        there = run_json.load(to / "run.json")
        if (there.policy.sha256, there.model, there.data) != (after.run.policy.sha256, after.run.model, after.run.data):
            raise UsageError(f"{shown} holds the record of another decision; choose another --out")
    try:
        if to.resolve() == out.resolve():
            return
        (to / "evidence").mkdir(exist_ok=True)
        for path in sorted((out / "evidence").glob("[!.]*"), key=lambda path: path.name == storage.MANIFEST):
            link = to / "evidence" / path.name
            link.unlink(missing_ok=True)
            try:
                os.link(path, link)
            except OSError:  # another file system
                shutil.copyfile(path, link)
    except OSError as error:
        raise UsageError(f"{shown} cannot be written into: {error.strerror}; choose another --out") from error
