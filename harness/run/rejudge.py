"""The stages from the evaluation on: finished evidence, judged again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from harness import policy
from harness.errors import UsageError
from harness.formatting import command_line, one_line
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.run.build_run import build_run
from harness.run.finished_run import FinishedRun, open_finished, write
from harness.run.session import lock


def rejudge(out: Path, policy_file: Path, today: date) -> FinishedRun:
    """Judge the evidence in ``out`` by another policy and replace the outputs; the findings of checks stay.

    ``today``: the day that waivers are held against.
    """
    before = open_finished(out)
    rules = policy.load(policy_file)
    policy.check_against(rules, before.evidence.data)
    policy.check_waivers(rules, today)
    if rules.preprocessing and not rules.preprocessing.fed(before.run.model):
        raise UsageError(
            f"{rules.where_preprocessing}: the run in {one_line(str(out), 200)} was fed otherwise; judge the model "
            "anew: harness run"
        )
    checks = [finding for finding in before.run.findings if finding.kind == "check"]
    command = command_line(["harness", "gate", str(out), "--policy", str(policy_file)])
    evaluation = evaluate(before.evidence, rules.gates)
    run = build_run(evaluation, rules, [*checks, *judge_all(evaluation)], command)
    after = replace(before, run=run, qualification=None)
    with lock(out):
        write(after, out)
    return after
