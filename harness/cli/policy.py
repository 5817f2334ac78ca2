"""harness policy: what a policy says, before any model is there."""

from __future__ import annotations

import json
from pathlib import Path

import click

from harness import digits
from harness import policy as policies
from harness.words import count, percent_short, requirement, title


@click.group()
def command() -> None:
    """Check a policy."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data", metavar="SOURCE", help="Also refuse gates that even a perfect score on these digits cannot pass."
)
@click.option("--json", "as_json", is_flag=True, help="Print the gates as JSON.")
def check(file: Path, data: str | None, as_json: bool) -> int:
    """Read FILE and name every mistake with its line; exit code 4 if there is one."""
    policy = policies.load(file)
    if data is not None:
        policies.check_against(policy, digits.load(data).facts)
    gates = [
        {"id": g.id, "what": title(g.metric, g.scope), "required": requirement(g), "level": g.level, "line": g.line}
        for g in policy.gates
    ]
    if as_json:
        click.echo(json.dumps(gates, indent=1))
        return 0
    for gate, row in zip(policy.gates, gates, strict=True):
        mark = "" if gate.level == "required" else "  (warning)"
        click.echo(f"{gate.file}:{gate.line}: {row['what']} {row['required']}{mark}")
    trials = len(policy.trials())
    click.echo(
        f"{count(len(gates), 'gate')}, {count(trials, 'set')} of images to predict; confidence is per gate, "
        f"by default {percent_short(0.95)}"
    )
    return 0
