"""harness run: a model in, a verdict, an exit code and a report out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from harness.cli import show
from harness.errors import UsageError
from harness.evidence import backends
from harness.formatting import one_line
from harness.run.inspection import SEED, Inspection, Request


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--data", metavar="SOURCE", help=".npz file, folder of IDX files, 'keras' or 'embedded'.")
@click.option("--policy", type=click.Path(path_type=Path), help="TOML policy; default: the shipped one for the data.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="RELEASE",
    help="The last release: its model file, its run's output folder, or what baseline accept wrote.",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True, help="Output folder.")
@click.option("--preprocess", metavar="MODULE", help="Module with the candidate's own normalize and one_hot.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Seed of the corruptions.")
@click.option("--allow-code", is_flag=True, help="MODEL may be module:function, which is run to make the model.")
@click.option("--require-sandbox", is_flag=True, help="No run where the sandbox leaves something open: exit code 4.")
@click.option(
    "--engine", type=click.Choice(backends.NAMES), default="local", show_default=True, help="Where the sweep is done."
)
@click.option("--scheduler", metavar="ADDRESS", help="Of the engine: tcp://host:8786 (dask), ray://host:10001 (ray).")
@show.as_json
def command(
    models: tuple[Path, ...],
    data: str | None,
    policy: Path | None,
    baseline: Path | None,
    out: Path,
    preprocess: str | None,
    seed: int,
    allow_code: bool,
    require_sandbox: bool,
    engine: backends.Name,
    scheduler: str | None,
    **shown: bool,
) -> int:
    """Judge MODEL: run the suites on it, decide, and leave a report in the output folder.

    MODEL is a .keras or .h5 file, a SavedModel folder, or a folder that holds what a .keras file holds.

    Of several, of a folder of models or of @LIST, a file with a path on each line, each is judged into a folder of its
    own; they are swept on the same images, and the exit code is the worst: 3, then 4, 1, 5 and 0.
    """
    where = backends.Engine(engine, scheduler)
    backends.check(where)
    request = Request(
        models[0],
        data,
        policy,
        out,
        preprocess,
        seed,
        baseline=baseline,
        require_sandbox=require_sandbox,
        allow_code=allow_code,
        engine=where,
    )
    from harness.cli import candidates

    many = candidates.named(models)
    return judge(request, **shown) if many is None else candidates.judge(candidates.folders(request, many), **shown)


def judge(request: Request, *, as_json: bool, quiet: bool) -> int:
    """Run the suites on a candidate with pytest, in isolation from any other pytest configuration."""
    assert request.out is not None
    check_out(request.out)
    with show.progress("predicting") as progress:
        inspection = Inspection(request, progress)
        try:
            code = suites(inspection)
        finally:
            inspection.close()
    if inspection.broken is not None:
        raise inspection.broken
    if inspection.run is None:
        raise KeyboardInterrupt if code == 2 else RuntimeError(f"pytest ended with code {code} and no verdict")
    return show.verdict(inspection.run, request.out, as_json=as_json, quiet=quiet)


def check_out(out: Path) -> None:
    """UsageError where no folder can be."""
    shown = one_line(str(out), 200)
    try:
        taken = out.exists() and not out.is_dir()
    except OSError as error:  # a name too long, a folder that may not be entered
        raise UsageError(f"{shown} cannot be written into: {error.strerror}; choose another --out") from error
    if taken:
        raise UsageError(f"{shown} is a file; --out names a folder")


def suites(inspection: Inspection) -> int:
    """Run the suites with pytest, in isolation from any other configuration; returns its exit code."""
    import hypothesis  # noqa: F401 - imported while the child still loads Keras
    import pytest

    from harness import plugin
    from harness.files import shipped_folder

    inspection.model  # noqa: B018 - a model that does not load is refused before anything runs
    inspection.claim()
    suites = shipped_folder("suites")
    arguments = [
        *("-c", str(suites / "pytest.ini"), "--rootdir", str(suites), "--confcutdir", str(suites)),
        *("-p", "harness.plugin", "-p", "no:terminal", "-p", "no:cacheprovider"),
        str(suites / "test_data.py"),
    ]
    with alone():
        return int(pytest.main(arguments, plugins=[plugin.Given(inspection)]))


@contextmanager
def alone() -> Iterator[None]:
    """Neither plugins that happen to be installed nor options of the environment reach pytest."""
    before = {name: os.environ.pop(name, None) for name in ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_ADDOPTS")}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        os.environ.update({name: value for name, value in before.items() if value is not None})
