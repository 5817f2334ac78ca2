"""harness report: the HTML of a finished run, written again."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options
from harness.files import write_whole
from harness.formatting import command_line


@click.command("report")
@click.argument("out", type=click.Path(path_type=Path), shell_complete=options.folders)
def command(out: Path) -> int:
    """Write OUT/report.html again from OUT/run.json and OUT/evidence."""
    from harness.run.api import load

    write_whole(out / "report.html", load(out).html().encode())
    click.echo(command_line([str(out / "report.html")]))
    return 0
