"""harness power: how well a policy decides on these digits, before any model is trained."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.errors import UsageError
from harness.formatting import count, json_text, one_line, percent, percent_short

if TYPE_CHECKING:
    from harness.policy import Policy
    from harness.records import DataFacts, Gate, GatePower, Power

MAX_UNIT_SIZE = 1_000_000


@click.command("power")
@options.policy("A shipped policy by name, or a TOML file; default: the shipped one for the data.")
@options.digits
@options.units
@click.option("--unit-size", type=click.FloatRange(1, MAX_UNIT_SIZE), help="Assume units of so many images.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    policy: Path | None,
    data: str | None,
    resize: bool,
    columns: Path | None,
    unit: str | None,
    unit_size: float | None,
    as_json: bool,
) -> int:
    """Say what each gate can tell on these digits: which miss fails, what passes, and how often it errs."""
    from harness import policy as policies
    from harness.cli import show
    from harness.data import sources
    from harness.judging import power
    from harness.run.session import default_policy

    dataset = sources.load(data, columns=columns, unit=unit, resize=resize)
    facts = dataset.facts if unit_size is None else in_units(dataset.facts, unit_size)
    rules = policies.load(policy or default_policy(facts))
    policies.check_against(rules, facts)
    figures = power.before(rules.gates, facts)
    if as_json:
        click.echo(json_text(asdict(figures)))
        return 0
    click.echo(asked(rules, facts))
    heads = ("gate", "n", "required", "fails if worse by", "passes if better by", "passed at the threshold")
    rows = [_row(gate, one, facts.unit) for gate, one in zip(rules.gates, figures.gates, strict=True)]
    show.table(heads, rows, log_width=200)
    click.echo(summary(figures, facts.unit))
    if facts.unit:
        click.echo(assumed(facts))
    return 0


def asked(policy: Policy, data: DataFacts) -> str:
    """Say which policy is held against which digits, and how sure its gates must be."""
    sure = sorted({gate.confidence for gate in policy.gates})
    return (
        f"policy {policy.facts.file}, {count(len(policy.gates), 'gate')}, on {one_line(data.name, 80)}, "
        f"{count(data.n, 'image')}; confidence {' and '.join(map(percent_short, sure))} a gate"
    )


def in_units(data: DataFacts, size: float) -> DataFacts:
    """Assume that the images come in units of ``size`` images, with the digits spread evenly over them."""
    if not size <= data.n:
        raise UsageError(f"--unit-size {size:,g} is more than the {data.n:,} images of {data.name}; give fewer")
    sizes = [1 + (size - 1) * part / data.n for part in (data.n, *data.counts)]
    return replace(data, unit=data.unit or "unit", units=max(1, round(data.n / size)), unit_sizes=tuple(sizes))


def assumed(data: DataFacts) -> str:
    """Say what is assumed of units before a model is there."""
    from harness.judging import power

    many, size = count(data.units, data.unit), data.unit_sizes[0]
    few = f" A gate of fewer than {power.FEWEST_UNITS} {data.unit}s in effect will not be evaluated."
    return (
        f"Assumed: {data.n:,} images of {many}; the {data.unit} of an image has {size:.1f} images in the mean; "
        f"mistakes of one {data.unit} correlate by {power.ALIKE:g}, flips by {power.ALIKE_PAIRS:g}. Of a judged "
        f"model its own answers say it.{few if data.n / size < power.FEWEST_UNITS else ''}"
    )


def summary(figures: Power, unit: str) -> str:
    """Describe the power of the whole policy; ``unit``: name of the sampling unit, empty for independent images."""
    from harness.judging import power

    guards = f", of a guard as the only one of {count(figures.guards, 'guard')}" if figures.guards else ""
    text = (
        f"A miss or a lead of that size is told with {power.LIKELY:.0%} probability; a miss as the only one of "
        f"{count(figures.family, 'required gate')} (Holm){guards}."
    )
    if figures.at_threshold is None:
        return text
    often = f"{'about' if unit else 'at most'} {percent(figures.at_threshold)}"
    return f"{text} A model exactly at a required threshold is released in {often} of runs."


def _row(gate: Gate, figures: GatePower, unit: str) -> tuple[str, ...]:
    from harness.metrics.display import counted, difference, requirement, title_of

    def far(value: float | None) -> str:
        return "needs answers" if value is None else difference(gate.metric, value).lstrip("+")

    images = "" if figures.images is None else f", {count(figures.images, counted(gate.metric, unit))}"
    at_threshold = "" if figures.at_threshold is None else percent(figures.at_threshold)
    n = f"{figures.n:,}" if figures.n else ""
    return (
        title_of(gate),
        n,
        requirement(gate),
        far(figures.detectable_below) + images,
        far(figures.detectable_above),
        at_threshold,
    )
