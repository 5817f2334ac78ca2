"""harness train: the reference pipeline, from digits to a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from harness.cli import options
from harness.formatting import percent

if TYPE_CHECKING:
    from harness.records import Dataset
    from harness.references.models import Trained


@click.command("train")
@click.option("--arch", type=click.Choice(["mlp", "cnn"]), default="cnn", show_default=True, help="Which model.")
@options.digits
@click.option("--out", type=click.Path(path_type=Path), default="model.keras", show_default=True)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of weights, order and dropout.",
)
@click.option(
    "--epochs", type=click.IntRange(1, 1000), help="Passes over the training digits; default by their number."
)
def command(
    arch: Literal["mlp", "cnn"], data: str | None, resize: bool, out: Path, seed: int, epochs: int | None
) -> int:
    """Train a reference Sequential model and save it as a .keras file."""
    from harness.data import sources

    trained = fit(arch, sources.load(data, resize=resize), out, seed, epochs)
    click.echo(
        f"{trained.path}: {trained.arch}, {trained.parameters:,} parameters, {trained.epochs} epochs, "
        f"accuracy {percent(trained.accuracy)} on {trained.n:,} test digits ({trained.origin})"
    )
    return 0


def fit(arch: Literal["mlp", "cnn"], dataset: Dataset, out: Path, seed: int, epochs: int | None = None) -> Trained:
    """Train with a bar on a terminal."""
    from harness.cli import show
    from harness.references import models

    with show.progress(f"training {arch}", "batches") as bar:
        return models.train(
            arch,
            dataset,
            out,
            seed,
            epochs=epochs,
            progress=lambda step: bar((step.epoch - 1) * step.batches + step.batch, step.epochs * step.batches),
        )
