"""harness gate: finished evidence, judged again by another policy; no model, no data, no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli import options


@click.command("gate")
@click.argument("out", type=click.Path(path_type=Path), shell_complete=options.folders)
@options.policy("A shipped policy by name, or a TOML file.", required=True)
@click.option(
    "--out",
    "to",
    type=click.Path(path_type=Path),
    help="Folder for what is written; what is in OUT then stays as it is.",
    shell_complete=options.folders,
)
@options.ledger
@options.as_json
def command(out: Path, policy: Path, to: Path | None, ledger: Path | None, **shown: Any) -> int:
    """Judge the evidence in OUT by another policy, and replace its run.json, report.html and junit.xml; or leave
    them, and write into another folder (--out).

    What the checks found stays as it was. A gate on a corruption that was not measured is not evaluated.
    """
    from harness.cli import show
    from harness.run.rejudge import rejudge

    return show.verdict(rejudge(out, policy, show.today(), to, ledger).run, to or out, **shown)
