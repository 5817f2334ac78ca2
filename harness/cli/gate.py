"""harness gate: finished evidence, judged again by another policy; no model, no data, no TensorFlow."""

from __future__ import annotations

from pathlib import Path

import click

from harness import policy
from harness.cli import show
from harness.evidence import storage
from harness.formatting import command_line
from harness.judging import gates
from harness.outputs import run_json
from harness.records import Session
from harness.run.inspection import compose, hold, write


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), required=True, help="TOML policy.")
@show.as_json
def command(out: Path, policy_file: Path, **shown: bool) -> int:
    """Judge the evidence in OUT by another policy, and replace its run.json, report.html and junit.xml.

    What the checks found stays as it was. A gate on a corruption that was not measured is not evaluated.
    """
    before = run_json.load(out / "run.json")
    found = storage.read(out / "evidence")
    run_json.belongs(before, found, out)
    rules = policy.load(policy_file)
    policy.check_against(rules, found.data)
    checks = [finding for finding in before.findings if finding.kind == "check"]
    repeat = command_line(["harness", "gate", str(out), "--policy", str(policy_file)])
    run = compose(found, rules, [*checks, *gates.judge_all(found, rules.gates)], repeat)
    when = run_json.load_session(out / "session.json") or Session("", "", {}, 0.0)
    lock = hold(out)
    try:
        write(out, run, when, found)
    finally:
        lock.release()
    return show.verdict(run, out, **shown)
