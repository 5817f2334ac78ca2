"""harness report: the HTML of a finished run, written again."""

from __future__ import annotations

from pathlib import Path

import click

from harness import report
from harness.evidence import storage
from harness.files import write_whole
from harness.formatting import command_line
from harness.outputs import run_json


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
def command(out: Path) -> int:
    """Write OUT/report.html again from OUT/run.json and OUT/evidence."""
    run = run_json.load(out / "run.json")
    found = storage.read(out / "evidence")
    run_json.belongs(run, found, out)
    page = report.render(run, found, run_json.load_session(out / "session.json"))
    write_whole(out / "report.html", page.encode())
    click.echo(command_line([str(out / "report.html")]))
    return 0
