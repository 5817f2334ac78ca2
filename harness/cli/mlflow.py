"""harness mlflow: the verdict carried to where releases are made from."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli import options
from harness.formatting import one_line

OUT = click.argument("out", type=click.Path(path_type=Path), shell_complete=options.folders)


@click.group("mlflow")
def command() -> None:
    """Log a finished run in MLflow, and move an alias of a registered model where its verdict allows the release.

    The server, the user and the experiment are named by MLflow's own variables: MLFLOW_TRACKING_URI,
    MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_TOKEN, MLFLOW_REGISTRY_URI and so on.
    """


@command.command(short_help="Log a finished run.")
@OUT
@click.option("--experiment", metavar="NAME", envvar="MLFLOW_EXPERIMENT_NAME", help="Made where it is not there.")
@click.option("--register", metavar="NAME", help="Make the judged model a version of this registered model.")
def log(out: Path, experiment: str | None, register: str | None) -> int:
    """Log the run in OUT as a run of MLflow, with its numbers, its report and its evidence, whatever the verdict."""
    from harness.run import registration

    logged = registration.log(out, experiment, register)
    click.echo(f"{one_line(logged.experiment, 120)}: run {one_line(logged.run_id, 80)}, {logged.numbers} numbers")
    if register:
        click.echo(f"{one_line(register, 80)}: version {logged.version}; harness mlflow promote moves an alias to it")
    return 0


@command.command(short_help="Move an alias of a registered model.")
@OUT
@click.option("--name", required=True, help="The registered model.")
@click.option("--alias", default="champion", show_default=True, help="The alias.")
def promote(out: Path, name: str, alias: str) -> int:
    """Move the alias to the version whose model the run in OUT allows; exit code 1 where it blocks, 5 without verdict.

    The version must hold the very file that was judged, and the alias must still be at the release that the run was
    held against. The first promotion fixes the policy that later ones need.
    """
    from harness.run import promotion

    done = promotion.promote(out, name, alias)
    click.echo(f"harness: {done.sentence}" if done.exit_code else done.sentence, err=done.exit_code != 0)
    return done.exit_code
