"""harness corruptions: what an image can be spoiled with."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options
from harness.files import write_named
from harness.formatting import json_text


@click.command("corruptions")
@click.option("--sheet", "picture", type=click.Path(path_type=Path), help="Draw them all, at every severity, as a PNG.")
@click.option(
    "--data",
    metavar="SOURCE",
    default="embedded",
    show_default=True,
    help="Digits to draw.",
    shell_complete=options.complete_data,
)
@click.option("--json", "as_json", is_flag=True, help="Print names, sources and parameters as JSON.")
def command(picture: Path | None, data: str, as_json: bool) -> int:
    """List the corruptions and the finite spaces that a policy can name."""
    from harness.corruptions import CORRUPTIONS, SPACES
    from harness.corruptions.attacks import ATTACKS

    if picture is not None:
        from harness.cli import show
        from harness.corruptions import sheet
        from harness.data import sources
        from harness.run.session import SEED

        with show.progress("drawing", "corruptions") as progress:
            digit = sources.load(data).images[:1]
            drawn = sheet.contact_sheet(digit, tuple(CORRUPTIONS), SEED, progress=progress)
        write_named(picture, drawn)
        click.echo(picture)
        return 0
    if as_json:
        click.echo(json_text({"corruptions": [*_rows()], "spaces": [*SPACES], "attacks": [*ATTACKS]}))
        return 0
    for row in _rows():
        mark = "MNIST-C" if row["mnist_c"] else ""
        click.echo(f"{row['name']:<18} {row['family']:<10} {mark:<8} {row['source']}")
    for attack in ATTACKS.values():
        click.echo(f"{attack.name:<18} {'attack':<10} {'':<8} {attack.source}")
    for name, space in SPACES.items():
        click.echo(f"{name:<18} {'space':<10} {'':<8} every point within 1..{space.largest} {space.unit}")
    return 0


def _rows() -> list[dict[str, object]]:
    from harness.corruptions import CORRUPTIONS

    return [
        {
            "name": corruption.name,
            "family": corruption.family,
            "mnist_c": corruption.mnist_c,
            "source": corruption.source,
            "published_severity": corruption.published,
            "parameters": [{"name": p.name, "unit": p.unit, "values": p.values} for p in corruption.parameters],
        }
        for corruption in CORRUPTIONS.values()
    ]
