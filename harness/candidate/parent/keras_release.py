"""Which releases of Keras may load a candidate: those in which no hole that is known and closed elsewhere is open."""

from __future__ import annotations

import re
from importlib import metadata

from harness.errors import UsageError

FIRST = (3, 15, 1)  # it and all later ones
MAINTAINED = ((3, 12, 4), (3, 13))  # from the first of these on, before the second
WAY_OUT = "pip install 'keras>=3.15.1,<4'"


def check() -> None:
    """UsageError where the installed Keras is too old. Read from the installed package, without importing it."""
    try:
        found = metadata.version("keras")
    except metadata.PackageNotFoundError as error:
        raise UsageError(f"Keras is not installed, which loads the model; {WAY_OUT}") from error
    parts = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", found)
    numbers = tuple(int(part or 0) for part in parts.groups()) if parts else ()
    if not (numbers >= FIRST or MAINTAINED[0] <= numbers < MAINTAINED[1]):
        raise UsageError(
            f"Keras {found} has known holes through which a model file can run code or read files; "
            f"they are closed from 3.15.1 on, and on the 3.12 branch from 3.12.4 on: {WAY_OUT}"
        )
