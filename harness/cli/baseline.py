"""harness baseline: what the next release is held against."""

from __future__ import annotations

from pathlib import Path

import click

from harness.errors import UsageError
from harness.evidence import baseline_file
from harness.files import write_named
from harness.formatting import command_line, count, one_line
from harness.run.finished_run import open_finished

ACCEPTABLE = ("allowed", "allowed_with_warnings")


@click.group()
def command() -> None:
    """Accept a release as the one that the next is held against."""


@command.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--by", required=True, help="Who accepts it.")
@click.option("--because", required=True, help="Why it may be the measure of the next.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("baseline.npz"), show_default=True)
def accept(run: Path, by: str, because: str, out: Path) -> int:
    """Write what the model of the run in folder RUN answered to one file, with its hashes, who accepted it and why.

    Only a release that was allowed is accepted. The file holds no image and no label; keep it under version control.
    """
    by, because = one_line(by, 120), one_line(because, 400)
    if not by or not because:
        raise UsageError("--by and --because say who accepts the baseline and why; neither may be empty")
    finished = open_finished(run)
    judged, evidence = finished.run, finished.evidence
    if judged.verdict.word not in ACCEPTABLE:
        shown, verdict = one_line(str(run), 200), judged.verdict.word.replace("_", " ")
        raise UsageError(f"the run in {shown} ended with {verdict!r}; only a release that was allowed is accepted")
    content = baseline_file.dump(baseline_file.of(evidence, accepted_by=by, because=because))
    write_named(out, content)
    click.echo(
        f"{command_line([str(out)])}: {judged.model.name} {judged.model.sha256[:10]}, "
        f"{count(len(evidence.answers), 'trial')}, {len(content):,} bytes, accepted by {by}"
    )
    return 0
