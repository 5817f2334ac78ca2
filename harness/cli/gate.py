"""harness gate: finished evidence, judged again by another policy; no model, no data, no TensorFlow."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import show
from harness.run.rejudge import rejudge


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--policy", "policy_file", type=click.Path(path_type=Path), required=True, help="TOML policy.")
@show.as_json
def command(out: Path, policy_file: Path, **shown: bool) -> int:
    """Judge the evidence in OUT by another policy, and replace its run.json, report.html and junit.xml.

    What the checks found stays as it was. A gate on a corruption that was not measured is not evaluated.
    """
    return show.verdict(rejudge(out, policy_file, show.today()).run, out, **shown)
