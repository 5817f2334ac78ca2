"""harness report: the HTML of a finished run, written again."""

from __future__ import annotations

from pathlib import Path

import click

from harness import evidence, report, runfile
from harness.files import write_whole
from harness.words import command_line


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
def command(out: Path) -> int:
    """Write OUT/report.html again from OUT/run.json and OUT/evidence."""
    run = runfile.load(out / "run.json")
    found = evidence.read(out / "evidence")
    runfile.belongs(run, found, out)
    page = report.render(run, found, runfile.load_session(out / "session.json"))
    write_whole(out / "report.html", page.encode())
    click.echo(command_line([str(out / "report.html")]))
    return 0
