"""What of the user's files a candidate's process may see: its copy, and the folders of the modules it imports."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from harness.candidate.parent.limits import Limits
from harness.sandbox import Plan


def plan(scratch: Path, copy: Path, modules: Sequence[str], hidden: Sequence[Path], limits: Limits) -> Plan:
    """``modules`` are looked for in the working folder; ``hidden`` are files and folders that hold answers."""
    here = Path.cwd()
    homes = [home for name in modules if (home := _home(name, here))]
    secret = [entry for home in homes for entry in home.iterdir() if entry.name.startswith(".")]
    return Plan(
        scratch=str(scratch),
        readable=(str(copy), *map(str, homes)),
        listed=(str(here),) if homes else (),
        hidden=tuple(sorted({os.path.abspath(path) for path in (*hidden, *secret)})),  # noqa: PTH100 - as it is named
        memory_bytes=limits.memory_mb << 20,
        cpu_seconds=limits.cpu_seconds,
    )


def _home(module: str, here: Path) -> Path | None:
    """The folder a module lies in; None where it is not found here, because it is an installed one or none at all."""
    top = module.partition(".")[0]
    if not top.isidentifier():
        return None
    if (here / top).is_dir():
        return here / top
    return here if any(entry.is_file() for entry in here.glob(f"{top}.*")) else None
