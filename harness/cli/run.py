"""harness run: a model in, a verdict, an exit code and a report out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import options
from harness.formatting import command_line, one_line

if TYPE_CHECKING:
    from harness.evidence import backends
    from harness.run.session import Request

WORST_FIRST = (3, 4, 1, 5, 0)  # exit codes: the harness failed, unusable, blocked, no verdict, allowed


@click.command("run", cls=options.Grouped)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.digits
@options.units
@options.trained_on
@options.policy("A shipped policy by name, or a TOML file; default: the shipped one for the data.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="RELEASE",
    multiple=True,
    help="The last release: its model file, its run's output folder, or what baseline accept wrote; again for other "
    "accepted runs of its recipe.",
)
@options.out
@options.preprocess
@click.option("--seed", type=int, default=options.SEED, show_default=True, help="Seed of the corruptions.")
@click.option("--allow-code", is_flag=True, help="MODEL may be module:function, which is run to make the model.")
@click.option("--require-sandbox", is_flag=True, help="No run where the sandbox leaves something open: exit code 4.")
@click.option(
    "--skip",
    type=click.Choice(["trigger"]),
    multiple=True,
    help="Save the time of the search for a trigger; its gate is not evaluated.",
)
@click.option(
    "--engine", type=click.Choice(options.ENGINES), default="local", show_default=True, help="Where the sweep is done."
)
@click.option("--scheduler", metavar="ADDRESS", help="Of the engine: tcp://host:8786 (dask), ray://host:10001 (ray).")
@click.option("--junit-times", is_flag=True, help="In junit.xml when it ran and how long; else equal runs are equal.")
@options.ledger
@options.as_json
def command(
    models: tuple[Path, ...],
    data: str | None,
    resize: bool,
    columns: Path | None,
    unit: str | None,
    trained_on: str | None,
    policy: Path | None,
    baseline: tuple[Path, ...],
    out: Path,
    preprocess: str | None,
    seed: int,
    allow_code: bool,
    require_sandbox: bool,
    skip: tuple[str, ...],
    engine: backends.Name,
    scheduler: str | None,
    junit_times: bool,
    ledger: Path | None,
    **shown: Any,
) -> int:
    """Judge MODEL: run the suites on it, decide, and leave a report in the output folder.

    MODEL is a .keras or .h5 file, a SavedModel folder, or a folder that holds what a .keras file holds.

    Of several, of a folder of models or of @LIST, a file with a path on each line, each is judged into a folder of its
    own; they are swept on the same images, and the exit code is the worst: 3, then 4, 1, 5 and 0.
    """
    from harness.candidate.parent.preprocessing import KINDS
    from harness.cli import show
    from harness.evidence import backends
    from harness.run.candidates import left_out, named, requests_for
    from harness.run.judge import check_out
    from harness.run.session import Request

    where = backends.Engine(engine, scheduler)
    backends.check(where)
    request = Request(
        models[0],
        data,
        policy,
        out,
        preprocess,
        seed,
        resize=resize,
        junit_times=junit_times,
        baseline=baseline,
        require_sandbox=require_sandbox,
        allow_code=allow_code,
        engine=where,
        columns=columns,
        unit=unit,
        ledger=ledger,
        skip=skip,
        trained_on=trained_on,
        today=show.today(),
    )
    check_out(out)
    for path in left_out(models):
        click.echo(f"harness: {one_line(str(path), 200)} is left out: hidden files are no candidates", err=True)
    if preprocess in KINDS and any(Path(preprocess + end).exists() for end in (".py", "/__init__.py")):
        click.echo(
            f"harness: --preprocess {preprocess} is the kind; the module of that name is ./{preprocess}", err=True
        )
    many = named(models)
    if many is None:
        return judge_one(request, out, **shown)
    return _judge_several(requests_for(request, many, out), out, **shown)


def _judge_several(requests: list[Request], out: Path, **shown: Any) -> int:
    """Judge candidates on the same images, print the verdicts and write their page; returns the worst exit code."""
    from harness.cli import show
    from harness.run.batch import judge_many, write_index

    (out / "index.html").unlink(missing_ok=True)
    with show.progress("predicting") as progress:
        outcomes = judge_many(requests, progress)
    write_index(outcomes, out)
    show.outcomes(outcomes, **shown)
    if not shown["as_json"]:
        click.echo(f"\nall: {command_line([str(out / 'index.html')])}")
    worst = min((outcome.exit_code for outcome in outcomes), key=WORST_FIRST.index)
    return show.exit_code(worst, no_verdict_is_failure=shown["no_verdict_is_failure"])


def judge_one(request: Request, out: Path, **shown: Any) -> int:
    """Judge one candidate and print the verdict; returns the exit code."""
    from harness.cli import show
    from harness.run.judge import judge

    with show.progress("predicting") as progress:
        run = judge(request, progress).run
    return show.verdict(run, out, **shown)
