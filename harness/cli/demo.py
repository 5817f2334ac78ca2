"""harness demo: train the reference model on the digits that can be reached, and judge it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli import options
from harness.formatting import command_line, percent


@click.command("demo")
@options.out
@options.digits
@options.as_json
def command(out: Path, data: str | None, resize: bool, **shown: Any) -> int:
    """Train the reference cnn on the digits that can be reached, judge it, and write the report."""
    from harness.cli.run import judge_one
    from harness.cli.train import fit
    from harness.data import sources
    from harness.run.session import Request

    dataset = sources.load(data, resize=resize)
    where = data or dataset.origin
    spoken = not (shown["as_json"] or shown["quiet"])
    if spoken:
        click.echo(f"digits: {dataset.name}, {dataset.facts.train_n:,} to train and {dataset.facts.n:,} to test")
    trained = fit("cnn", dataset, out / "reference.keras", seed=0)
    if spoken:
        click.echo(f"trained: {trained.path}, {percent(trained.accuracy)} of the test digits read")
    code = judge_one(Request(trained.path, where, out=out, own_split=True, resize=resize), out, **shown)
    if spoken:
        click.echo("\nnext, a model of your own (here another seed), judged with what it was trained on:")
        click.echo(proposed(out, where, resize))
    return code


def proposed(out: Path, source: str, resize: bool) -> str:
    """Write three commands that work as they are: a model, its verdict, and both beside each other."""
    own, data = out / "own", ["--data", source, *(["--resize"] if resize else [])]
    commands = (
        ["harness", "train", "--seed", "1", *data, "--out", str(own / "model.keras")],
        ["harness", "run", str(own / "model.keras"), *data, "--trained-on", source, "--out", str(own)],
        ["harness", "compare", str(out), str(own)],
    )
    return "\n".join(f"  {command_line(words)}" for words in commands)
