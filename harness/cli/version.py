"""harness version: the same as harness --version."""

from __future__ import annotations

import click

from harness import __version__


@click.command("version")
def command() -> int:
    """Show the version."""
    click.echo(f"harness, version {__version__}")
    return 0
