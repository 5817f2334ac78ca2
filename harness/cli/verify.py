"""harness verify: an attested verdict, checked against the model file and replayed from the evidence."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options
from harness.formatting import count, one_line

_PATH = click.Path(path_type=Path)


@click.command("verify")
@click.argument("model", type=_PATH)
@click.option("--attestation", type=_PATH, required=True, help="The bundle that harness attest wrote.")
@click.option("--key", type=_PATH, required=True, help="Public key, PEM.")
@click.option(
    "--run", "out", type=_PATH, help="Folder of the run, to replay its decision.", shell_complete=options.folders
)
@options.policy("The policy that the run must have been judged by; needs --run.")
def command(model: Path, attestation: Path, key: Path, out: Path | None, policy: Path | None) -> int:
    """Verify that MODEL is the file that was judged, and that its verdict is what its attestation says.

    With --run the decision is made again from the evidence, without the model and without TensorFlow, and every number
    of the record must come out again. Exit codes are those of the verdict: 0 allowed, 1 blocked, 5 no verdict; 4 where
    anything does not hold.
    """
    from harness.judging.verdict import HEADLINES
    from harness.run.attest import verify

    if policy is not None and out is None:
        raise click.UsageError("--policy needs the run: --run OUT")
    verified = verify(model, attestation, key, out, policy)
    click.echo(f"{HEADLINES[verified.verdict]}: {one_line(verified.model, 120)}")
    click.echo(one_line(verified.sentence, 500))
    if verified.run is None:
        click.echo("signature and file hold; the decision was not replayed: --run OUT")
        return verified.exit_code
    kinds = [one.kind for one in verified.run.findings]
    gates, checks = count(kinds.count("gate"), "gate"), count(kinds.count("check"), "check")
    click.echo(f"signature, file, record and evidence hold: {gates} replayed, {checks} as attested, not replayed")
    return verified.exit_code
