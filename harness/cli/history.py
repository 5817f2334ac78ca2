"""harness history: every verdict of a ledger, as a page and as lines."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from harness.cli import options
from harness.errors import UsageError
from harness.formatting import json_text


@click.command("history")
@options.ledger
@click.option(
    "--to", type=click.Path(path_type=Path), default="history.html", show_default=True, help="Page with every verdict."
)
@click.option("--json", "as_json", is_flag=True, help="Print the lines of the ledger as JSON.")
def command(ledger: Path | None, to: Path, as_json: bool) -> int:
    """Show the history of releases that a ledger holds: every verdict, and how often each test set has decided.

    A ledger is what --ledger of run and gate writes. Exit code 1 where a line was removed or changed.
    """
    from harness.cli import show
    from harness.files import write_named
    from harness.formatting import command_line, one_line, percent
    from harness.judging.verdict import HEADLINES
    from harness.run.uses import history

    if ledger is None:
        raise UsageError("harness history needs a ledger; name the file: --ledger releases.jsonl")
    chain, page = history(ledger)
    write_named(to, page)
    if as_json:
        lines = [asdict(one) for one in chain.entries]
        click.echo(json_text({"entries": lines, "broken": list(chain.broken)}))
        return 1 if chain.broken else 0
    rows = [
        (
            one.when[:16].replace("T", " "),
            HEADLINES[one.verdict] if one.verdict else f"accepted by {one_line(one.by, 60)}",
            one_line(one.name, 60),
            percent(one.accuracy[0]) if one.accuracy else "",
            one.data[:10],
            one_line(", ".join(one.closest), 80),
        )
        for one in chain.entries[-40:]
    ]
    show.table(("when", "verdict", "model", "accuracy", "digits", "closest gates"), rows, right=("accuracy",))
    for reason in chain.broken:
        click.echo(f"the chain is broken: {reason}")
    click.echo(f"\nhistory: {command_line([str(to)])}")
    return 1 if chain.broken else 0
