"""harness compare: two finished runs, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.formatting import json_text

if TYPE_CHECKING:
    from harness.records import Measurement, Run


@click.command("compare")
@click.argument("before", type=click.Path(path_type=Path), shell_complete=options.folders)
@click.argument("after", type=click.Path(path_type=Path), shell_complete=options.folders)
@click.option(
    "--to", type=click.Path(path_type=Path), help="Page with the images that changed; default: AFTER/compare.html."
)
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def command(before: Path, after: Path, to: Path | None, as_json: bool) -> int:
    """Compare the runs in the folders BEFORE and AFTER: AFTER minus BEFORE on the same images, and both verdicts.

    A page shows the images that only one of them reads right.
    """
    from harness.cli import show
    from harness.files import write_named
    from harness.formatting import command_line, one_line
    from harness.judging.verdict import HEADLINES
    from harness.metrics.display import difference, interval
    from harness.records import Scope
    from harness.run.api import compare

    comparison = compare(before, after)
    page = to or after / "compare.html"
    write_named(page, comparison.html().encode())
    runs, measured = (comparison.before.run, comparison.after.run), comparison.changes
    if as_json:
        click.echo(json_text(_summary(runs, measured)))
        return 0
    if first := next((one for one in measured if one.metric == "accuracy" and one.scope == Scope()), None):
        wrong, right = len(comparison.newly_wrong), len(comparison.newly_right)
        moved = f"{difference('accuracy', first.value)}, {interval(first)}"
        click.echo(f"{wrong:,} newly wrong, {right:,} newly right; accuracy {moved}")
    for name, run in zip(("before", "after"), runs, strict=True):
        click.echo(f"{name:<7} {HEADLINES[run.verdict.word]}  {one_line(run.model.name, 120)} {run.model.sha256[:10]}")
    heads = ("what", "after minus before", "95 % interval", "newly wrong", "newly right", "McNemar p")
    show.table(heads, [_row(one) for one in measured], right=heads[1:])
    click.echo(f"\nimages: {command_line([str(page)])}")
    return 0


def _row(one: Measurement) -> tuple[str, ...]:
    from harness.metrics.display import difference, interval, p_value, title

    flips = ("", "", "")
    if one.broken is not None and one.fixed is not None:
        flips = (f"{one.broken:,}", f"{one.fixed:,}", p_value(one))
    return title(one.metric, one.scope), difference(one.metric, one.value), interval(one), *flips


def _summary(runs: Sequence[Run], measured: Sequence[Measurement]) -> dict[str, object]:
    return {
        **{
            name: {"model": run.model.name, "sha256": run.model.sha256, "verdict": run.verdict.word}
            for name, run in zip(("before", "after"), runs, strict=True)
        },
        "differences": [
            {
                "metric": one.metric,
                "of": {name: of for name, of in vars(one.scope).items() if of not in (None, ())},
                **{name: getattr(one, name) for name in ("value", "low", "high", "n", "broken", "fixed")},
            }
            for one in measured
        ],
    }
