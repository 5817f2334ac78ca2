"""harness power: how well a policy decides on these digits, before any model is trained."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from harness import policy
from harness.cli import show
from harness.data import sources
from harness.formatting import count, percent
from harness.judging import power
from harness.metrics.display import difference, requirement, title_of
from harness.records import Gate, GatePower, Power
from harness.run.session import default_policy


@click.command()
@click.option("--policy", "file", type=click.Path(path_type=Path), help="TOML policy; default: the shipped one.")
@click.option("--data", metavar="SOURCE", help=".npz file, folder of IDX files, 'keras' or 'embedded'.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(file: Path | None, data: str | None, as_json: bool) -> int:
    """What each gate can tell on these digits: which miss fails, what passes, and how often it errs."""
    dataset = sources.load(data)
    rules = policy.load(file or default_policy(dataset.origin))
    policy.check_against(rules, dataset.facts)
    found = power.before(rules.gates, dataset.facts)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=1))
        return 0
    heads = ("gate", "n", "required", "fails if worse by", "passes if better by", "passed at the threshold")
    show.columns(heads, [_row(gate, one) for gate, one in zip(rules.gates, found.gates, strict=True)])
    click.echo(summary(found))
    return 0


def summary(found: Power) -> str:
    """The policy as a whole."""
    least = (
        ""
        if found.at_threshold is None
        else (f" A model exactly at a required threshold is released in at most {percent(found.at_threshold)} of runs.")
    )
    return (
        f"A miss or a lead of that size is told with {power.LIKELY:.0%} probability; a miss as the only one of "
        f"{count(found.family, 'required gate')} (Holm).{least}"
    )


def _row(gate: Gate, found: GatePower) -> tuple[str, ...]:
    def far(value: float | None) -> str:
        return "needs answers" if value is None else difference(gate.metric, value).lstrip("+")

    images = "" if found.images is None else f", {count(found.images, 'image')}"
    at_threshold = "" if found.at_threshold is None else percent(found.at_threshold)
    n = f"{found.n:,}" if found.n else ""
    return title_of(gate), n, requirement(gate), far(found.shortfall) + images, far(found.headroom), at_threshold
