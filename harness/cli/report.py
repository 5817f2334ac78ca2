"""harness report: the HTML of a finished run, written again."""

from __future__ import annotations

from pathlib import Path

import click

from harness.files import write_whole
from harness.formatting import command_line
from harness.run.api import load


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
def command(out: Path) -> int:
    """Write OUT/report.html again from OUT/run.json and OUT/evidence."""
    write_whole(out / "report.html", load(out).html().encode())
    click.echo(command_line([str(out / "report.html")]))
    return 0
