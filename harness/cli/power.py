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
@show.digits
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(file: Path | None, data: str | None, resize: bool, as_json: bool) -> int:
    """What each gate can tell on these digits: which miss fails, what passes, and how often it errs."""
    dataset = sources.load(data, resize=resize)
    rules = policy.load(file or default_policy(dataset.origin))
    policy.check_against(rules, dataset.facts)
    figures = power.before(rules.gates, dataset.facts)
    if as_json:
        click.echo(json.dumps(asdict(figures), indent=1))
        return 0
    heads = ("gate", "n", "required", "fails if worse by", "passes if better by", "passed at the threshold")
    rows = [_row(gate, one) for gate, one in zip(rules.gates, figures.gates, strict=True)]
    show.table(heads, rows, log_width=200)
    click.echo(summary(figures))
    return 0


def summary(figures: Power) -> str:
    """Describe the power of the whole policy."""
    guards = f", of a guard as the only one of {count(figures.guards, 'guard')}" if figures.guards else ""
    text = (
        f"A miss or a lead of that size is told with {power.LIKELY:.0%} probability; a miss as the only one of "
        f"{count(figures.family, 'required gate')} (Holm){guards}."
    )
    if figures.at_threshold is None:
        return text
    share = percent(figures.at_threshold)
    return f"{text} A model exactly at a required threshold is released in at most {share} of runs."


def _row(gate: Gate, figures: GatePower) -> tuple[str, ...]:
    def far(value: float | None) -> str:
        return "needs answers" if value is None else difference(gate.metric, value).lstrip("+")

    images = "" if figures.images is None else f", {count(figures.images, 'image')}"
    at_threshold = "" if figures.at_threshold is None else percent(figures.at_threshold)
    n = f"{figures.n:,}" if figures.n else ""
    return title_of(gate), n, requirement(gate), far(figures.shortfall) + images, far(figures.headroom), at_threshold
