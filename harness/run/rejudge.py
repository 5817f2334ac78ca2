"""The stages from the evaluation on: finished evidence, judged again."""

from __future__ import annotations

import contextlib
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
from harness.run.finished_run import AGAIN, FinishedRun, open_finished, own_policy, write
from harness.run.session import check_ledger, lock
from harness.run.uses import USED_UP, record, used_up, uses_of


def rejudge(
    out: Path, policy_file: Path | None, today: date, to: Path | None = None, ledger: Path | None = None
) -> tuple[FinishedRun, Path]:
    """Judge the evidence in ``out`` again, by a policy or by its own; return the run and the folder of its outputs.

    The findings of checks stay. ``today``: the day that waivers are held against. ``to``: a folder for the outputs,
    beside links to the evidence; by default ``out`` where the policy is its own, else a folder below it. ``ledger``:
    the file that remembers every verdict. UsageError where ``to`` holds a record by another policy.
    """
    before = open_finished(out)
    rules = policy.load(policy_file) if policy_file else own_policy(before.run, out)
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
    options = {"--policy": policy_file, "--out": to, "--ledger": ledger}
    given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    command = command_line(["harness", "gate", str(out), *given])
    evaluation = evaluate(before.evidence, rules.gates)
    run = build_run(evaluation, rules, [*checks, *judge_all(evaluation)], command, counted)
    after = replace(before, run=run, qualification=None)
    own = rules.facts.sha256 == before.run.policy.sha256
    folder = to or (out if own else out / f"{AGAIN}{rules.facts.sha256[:8]}")
    with contextlib.ExitStack() as held:
        for each in dict.fromkeys([folder] if to else [out, folder]):
            held.enter_context(lock(each))
        if to is not None or not own:
            _link_evidence(out, folder, after)
        if ledger:
            record(ledger, after, folder)
        write(after, folder)
    return after, folder


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
