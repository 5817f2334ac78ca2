"""Files that appear whole or not at all, and arrays as files."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def packed(arrays: Mapping[str, NDArray[Any]], *, level: int = 1) -> bytes:
    """Arrays in the form of an .npz file; equal arrays give equal bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getvalue(), zipfile.ZIP_DEFLATED, level)
    return file.getvalue()


def unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of ``packed``. Unusable where it holds anything else."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return dict(archive)
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise Unusable("a file of the evidence is damaged; run harness run again") from error


def _shown(path: Path) -> str:
    return one_line(str(path), 200)
