"""The part of the user's files that a candidate's process may read: its copy and the folders of the modules it
imports.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from harness.candidate.parent.limits import Limits
from harness.sandbox import Plan


def plan(folder: Path, copy: Path, modules: Sequence[str], hidden: Sequence[Path], limits: Limits) -> Plan:
    """Plan a sandbox that shows ``modules`` of the working folder, without the files and folders in ``hidden``.

    Of a folder that lies in a hidden one the modules and packages are shown, and nothing else.
    """
    here = Path.cwd()
    homes = [home for name in modules if (home := _home(name, here))]
    unseen = [path.resolve() for path in hidden if path.is_dir()]
    within = [home for home in homes if any(home.resolve().is_relative_to(folder) for folder in unseen)]
    secret = [entry for home in homes for entry in home.iterdir() if entry.name.startswith(".")]
    return Plan(
        folder=str(folder),
        readable=(str(copy), *map(str, {*homes} - {*within}), *(str(path) for home in within for path in _code(home))),
        listed=(str(here),) if homes else (),
        hidden=tuple(sorted({os.path.abspath(path) for path in (*hidden, *secret)})),  # noqa: PTH100 - as it is named
        memory_bytes=limits.memory_mb << 20,
        cpu_seconds=limits.cpu_seconds,
    )


def _code(home: Path) -> list[Path]:
    if (home / "__init__.py").exists():
        return [home]
    return [path for path in home.iterdir() if path.suffix in (".py", ".so") or (path / "__init__.py").exists()]


def _home(module: str, here: Path) -> Path | None:
    """Return the folder that holds a module; None where it is not in ``here``, being installed or missing."""
    top = module.partition(".")[0]
    if not top.isidentifier():
        return None
    if (here / top).is_dir():
        return here / top
    return here if any(entry.is_file() for entry in here.glob(f"{top}.*")) else None
