"""harness report: a finished run shown again, in one of several forms."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options
from harness.errors import UsageError
from harness.files import write_named
from harness.formatting import command_line, one_line
from harness.run.form_files import FILES


@click.command("report")
@click.argument("out", type=click.Path(path_type=Path), shell_complete=options.folders)
@click.option("--as", "form", type=click.Choice(list(FILES)), default="html", show_default=True, help="Its form.")
@click.option("--to", type=click.Path(path_type=Path), help="File; default: OUT/report.html, report.md, badge.svg, ...")
@click.option("--link", metavar="URL", default="", help="Address of the HTML report, for Markdown.")
def command(out: Path, form: str, to: Path | None, link: str) -> int:
    """Write the report again from OUT/run.json and OUT/evidence. OUT may be one of the run's files.

    markdown has the verdict, what did not pass and the main numbers, in at most 64,000 bytes; card is the model card
    for Hugging Face, bom a bill of materials (CycloneDX 1.6), openmetrics the numbers for Prometheus and GitLab. badge
    is a picture, or JSON for shields.io where --to ends in .json. statement is the in-toto statement that is signed by
    harness attest, predicate its part for actions/attest.
    """
    from harness.run.api import load
    from harness.run.forms import FORMS

    if link and (form != "markdown" or not options.is_address(link)):
        shown = one_line(link, 200)
        raise UsageError(f"--link {shown} is no address (https://...) for --as markdown; mend it or leave it out")
    folder = out.parent if out.name in options.OF_A_RUN and out.is_file() else out
    result = load(folder)
    path = to or folder / FILES[form]
    write = FORMS.get(f"{form}{path.suffix.lower()}", FORMS[form])
    write_named(path, (result.markdown(link) if link else write(result.finished)).encode())
    click.echo(command_line([str(path)]))
    return 0
