"""The releases of Keras that may load a candidate: those without a known hole that a later release closed."""

from __future__ import annotations

import re
from importlib import metadata

from harness.errors import UsageError

FIRST = (3, 15, 1)  # it and all later ones
MAINTAINED = ((3, 12, 4), (3, 13))  # from the first of these on, before the second
WAY_OUT = "pip install 'keras>=3.15.1,<4'"


def check() -> None:
    """Raise UsageError if the installed Keras is too old; its version is read without importing it."""
    try:
        installed = metadata.version("keras")
    except metadata.PackageNotFoundError as error:
        raise UsageError(f"Keras is not installed, which loads the model; {WAY_OUT}") from error
    parts = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", installed)
    numbers = tuple(int(part or 0) for part in parts.groups()) if parts else ()
    if not (numbers >= FIRST or MAINTAINED[0] <= numbers < MAINTAINED[1]):
        raise UsageError(
            f"Keras {installed} has known holes through which a model file can run code or read files; "
            f"they are closed from 3.15.1 on, and on the 3.12 branch from 3.12.4 on: {WAY_OUT}"
        )
