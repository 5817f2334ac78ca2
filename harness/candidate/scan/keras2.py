"""Configurations that Keras 1 or 2 wrote: told by the version in the file, and checked against a list of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.candidate.scan import allowed, config, sizes
from harness.candidate.scan.budget import Rejected
from harness.formatting import one_line

COMPUTED_OTHERWISE = "hard_sigmoid"  # 0.2 x + 0.5 in Keras 1 and 2, x / 6 + 0.5 in Keras 3


def is_older(version: str) -> bool:
    """Tell whether a file of this version was written before Keras 3."""
    return version.partition(".")[0] in ("0", "1", "2")


def version_in(metadata: object) -> str:
    """Return the version that the metadata of a .keras file name, printable; empty if none."""
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return one_line(version, 20) if isinstance(version, str) else ""


def check_either(model: Any, version: str) -> None:
    """Raise Rejected, with the version in the file, unless Keras 3 may load the configuration or, where it is older,
    Keras 2 may.
    """
    try:
        if is_older(version):
            _check_older(model)
        else:
            config.check(model)
            sizes.check(model)
    except Rejected as rejected:
        if version.startswith(("0.", "1.")):
            why = "Keras 2.3.1 is the last that reads such a file: load it there and save it again"
            fault = str(rejected).partition("; ")[0]
            raise Rejected(f"{fault}; it was written by Keras {version}, and {why}") from rejected
        raise Rejected(f"{rejected}{written_by(version)}") from rejected


def _check_older(model: Any) -> None:
    try:
        config.check(model)
        sizes.check(model)
    except Rejected:
        check(model)


def written_by(version: str) -> str:
    """Name the Keras that wrote a file; empty where the file names none."""
    return f" (written by Keras {version})" if version else ""


@contextmanager
def naming(version: str) -> Iterator[None]:
    """Note the version of Keras that wrote a file in whatever is raised while the file is loaded."""
    try:
        yield
    except Exception as error:
        error.add_note(version)
        raise


def check(model: Any) -> None:
    """Raise Rejected unless every object that Keras 2 would make of this configuration is on its list."""
    uniform = _uniform(model)
    config.check(uniform, allowed.KERAS_2)
    sizes.check(uniform)


def is_computed_otherwise(model: Any) -> bool:
    """Tell whether Keras 3 would load the configuration and compute something else."""
    if isinstance(model, dict):
        return any(is_computed_otherwise(value) for value in model.values())
    if isinstance(model, list):
        return any(is_computed_otherwise(value) for value in model)
    return isinstance(model, str) and model == COMPUTED_OTHERWISE


def _uniform(value: Any) -> Any:
    """Give every Sequential its layers under a key: until 2.2.2 its configuration was the bare list."""
    if isinstance(value, list):
        return [_uniform(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    made = {key: _uniform(inner) for key, inner in value.items()}
    if made.get("class_name") == "Sequential" and isinstance(made.get("config"), list):
        made["config"] = {"name": "sequential", "layers": made["config"]}
    return made
