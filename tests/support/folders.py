"""Folders of the repository, and files that are made once for all workers of a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[2]
FAULTS = ROOT / "tests" / "support" / "faults"
CI_TOKEN = "RELEASE_TOKEN"  # environment variable that no candidate may see
GOLDEN = ROOT / "tests" / "golden"


def once(folder: Path, name: str, make: Callable[[Path], object]) -> Path:
    """``folder / name``, made by the first worker that asks for it."""
    path = folder / name
    with FileLock(folder / f"{name}.lock"):
        if not path.exists():
            draft = folder / f"draft-{name}"
            make(draft)
            draft.rename(path)
    return path
