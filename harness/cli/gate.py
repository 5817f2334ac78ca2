"""harness gate: finished evidence, judged again, by another policy or its own; no model, no data, no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli import options


@click.command("gate")
@click.argument("out", type=click.Path(path_type=Path), shell_complete=options.folders)
@options.policy("A shipped policy by name, or a TOML file; default: the run's own.")
@click.option(
    "--out",
    "to",
    type=click.Path(path_type=Path),
    help="Folder for what is written; default: OUT for its own policy, a folder again-... in it for another.",
    shell_complete=options.folders,
)
@options.ledger
@options.as_json
def command(out: Path, policy: Path | None, to: Path | None, ledger: Path | None, **shown: Any) -> int:
    """Judge the evidence in OUT again, by its own policy or by another.

    A decision by another policy gets a folder of its own, and the first one stays. What the checks found stays as it
    was. A gate on a corruption that was not measured is not evaluated.
    """
    from harness.cli import show
    from harness.run.rejudge import rejudge

    after, folder = rejudge(out, policy, show.today(), to, ledger)
    return show.verdict(after.run, folder, **shown)
