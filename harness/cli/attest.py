"""harness attest: the verdict of a finished run, signed."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options
from harness.errors import UsageError
from harness.formatting import command_line, one_line


@click.command("attest")
@click.argument("out", type=click.Path(path_type=Path), shell_complete=options.folders)
@click.option("--key", type=click.Path(path_type=Path), help="Private key, PEM; default: the text in HARNESS_KEY.")
@click.option("--url", default="", help="Address of the build that judged the model.")
@options.policy("The policy that the run was judged by; needed where it names code of yours.")
def command(out: Path, key: Path | None, url: str, policy: Path | None) -> int:
    """Sign the verdict of the run in OUT, whatever it is, and write OUT/attestation.sigstore.json: an in-toto statement
    in a Sigstore bundle.

    The key is ECDSA P-256 or Ed25519; its password is read from HARNESS_KEY_PASSWORD.
    """
    from harness.run.attest import attest

    if url and not options.is_address(url):
        raise UsageError(f"--url {one_line(url, 200)} is no address (https://...); mend it or leave it out")
    click.echo(command_line([str(attest(out, key, url, policy))]))
    return 0
