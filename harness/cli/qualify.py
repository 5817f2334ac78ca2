"""harness qualify: which faults a policy notices in a model that it lets through."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import options
from harness.formatting import command_line, json_text, one_line, percent

if TYPE_CHECKING:
    from harness.records import Ladder, Qualification


@click.command("qualify")
@click.argument("model", type=click.Path(path_type=Path))
@options.policy("A shipped policy by name, or a TOML file; default: the shipped one for the data.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="RELEASE",
    multiple=True,
    help="Accepted runs of the model's recipe, as for harness run: judged, too, without a fault.",
)
@options.digits
@options.units
@options.trained_on
@options.ledger
@click.option("--only", metavar="OPERATOR", multiple=True, help="This operator only; again for more.")
@click.option("--minutes", type=float, default=10.0, show_default=True, help="Time after which no mutant is begun.")
@click.option("--anyway", is_flag=True, help="Go on where the model itself is not allowed.")
@click.option("--resume", is_flag=True, help="Do not judge again what an earlier run in the folder has finished.")
@click.option("--at-least", type=click.FloatRange(0, 1), help="Exit code 1 where the score's lower bound is below.")
@click.option("--json", "as_json", is_flag=True, help="Print qualification.json.")
@options.out
def command(
    model: Path,
    policy: Path | None,
    baseline: tuple[Path, ...],
    data: str | None,
    resize: bool,
    columns: Path | None,
    unit: str | None,
    trained_on: str | None,
    ledger: Path | None,
    only: tuple[str, ...],
    minutes: float,
    anyway: bool,
    resume: bool,
    at_least: float | None,
    as_json: bool,
    out: Path,
) -> int:
    """Plant faults of growing strength in MODEL, a good one, and judge each by the policy: what is stopped, from which
    strength on, and what is let through.

    Nothing is trained. The folder gets what harness run leaves of MODEL, with a section on the faults in report.html,
    and qualification.json.
    """
    from harness.cli import INTERRUPTED, show
    from harness.run.mutant import MUTANTS
    from harness.run.qualify import Options, qualify
    from harness.run.session import Request

    request = Request(
        model,
        data,
        policy,
        out,
        baseline=baseline,
        resize=resize,
        columns=columns,
        unit=unit,
        trained_on=trained_on,
        ledger=ledger,
        today=show.today(),
    )
    try:
        with show.progress("judging", "mutants") as progress:
            result = qualify(request, Options(only, minutes, anyway, resume), progress)
    except KeyboardInterrupt:
        kept = len(list((out / MUTANTS).glob("*.json")))
        said = f"interrupted; {kept} mutants are kept, and --resume goes on from there"
        click.echo(f"harness: {said}", err=True)
        if as_json:
            click.echo(json_text({"verdict": None, "exit_code": INTERRUPTED, "error": said}))
        return INTERRUPTED
    if as_json:
        click.echo((out / "qualification.json").read_text("utf-8"), nl=False)
    else:
        _print(result, out)
    low = result.score.low if result.score else 0.0
    return show.BLOCKED if at_least is not None and low < at_least else 0


def _print(result: Qualification, out: Path) -> None:
    from harness.cli import show
    from harness.metrics.display import qualified

    heads = ("operator", "stopped 8 times in 10 from", "let through up to", "accuracy there", "worst recall")
    show.table(heads, [_row(ladder) for ladder in result.ladders if ladder.mutants], log_width=200)
    for sentence in qualified(result):
        click.echo(sentence)
    lists = (
        ("Stop nothing they were asked about", result.idle),
        ("Never stop alone", result.never_alone),
        ("Suffice for all", result.cover),
    )
    for words, names in lists:
        if names:
            click.echo(f"{words} ({len(names)}): {one_line(', '.join(names), 2000)}")
    for ladder in result.ladders:
        if ladder.note:
            click.echo(f"{ladder.operator}: {one_line(ladder.note)}")
    click.echo(f"\nreport: {command_line([str(out / 'report.html')])}")


def _row(ladder: Ladder) -> tuple[str, ...]:
    gone, words = ladder.unnoticed, ladder.said or "nothing on its ladder"
    figures = ("", "")
    if gone is not None and gone.accuracy is not None and gone.worst_recall is not None:
        figures = percent(gone.accuracy), f"{percent(gone.worst_recall)} of {gone.worst_digit}"
    return ladder.operator, f"{words} or less" if ladder.from_first else words, ladder.below, *figures
