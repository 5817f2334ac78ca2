"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from harness.records import Unusable
from harness.words import one_line


def write_whole(path: Path, content: bytes) -> None:
    """Write beside ``path``, flush to disk, then rename over it. A reader sees the old file, the new one, or none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise Unusable(f"cannot write into {_shown(path.parent)}: {error.strerror}; choose another --out") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except OSError as error:
        Path(draft).unlink(missing_ok=True)
        raise Unusable(
            f"cannot write {_shown(path)}: {error.strerror}; free some space or choose another --out"
        ) from error
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _shown(path: Path) -> str:
    return one_line(str(path), 200)
