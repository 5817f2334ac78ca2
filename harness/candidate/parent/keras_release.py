"""The releases of Keras that may load a candidate: those without a known hole that a later release closed."""

from __future__ import annotations

import re
from importlib import metadata

from harness.errors import UsageError

FIRST = (3, 15, 1)  # it and all later ones
MAINTAINED = ((3, 12, 4), (3, 13))  # from the first of these on, before the second
WAY_OUT = "pip install 'keras>=3.15.1,<4'"


def way_out(version: str) -> str:
    """Say what to do with a file of this version of Keras that the installed one cannot make a model of."""
    written, installed = _numbers(version), _numbers(metadata.version("keras"))
    if written in ((), installed):
        return "save it again with model.save"
    if installed < written < (installed[0] + 1,):
        return f"python -m pip install 'keras>={'.'.join(map(str, written))},<{installed[0] + 1}'"
    return "load it where it was trained, and there model.export('folder')"


def check() -> None:
    """Raise UsageError if the installed Keras is too old; its version is read without importing it."""
    try:
        installed = metadata.version("keras")
    except metadata.PackageNotFoundError as error:
        raise UsageError(f"Keras is not installed, which loads the model; {WAY_OUT}") from error
    numbers = _numbers(installed)
    if not (numbers >= FIRST or MAINTAINED[0] <= numbers < MAINTAINED[1]):
        raise UsageError(
            f"Keras {installed} has known holes through which a model file can run code or read files; "
            f"they are closed from 3.15.1 on, and on the 3.12 branch from 3.12.4 on: {WAY_OUT}"
        )


def _numbers(version: str) -> tuple[int, ...]:
    parts = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in parts.groups()) if parts else ()
