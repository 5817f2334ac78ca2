"""Atomic writing of files, and arrays as files."""

from __future__ import annotations

import codecs
import errno
import hashlib
import io
import os
import stat
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from harness.errors import UsageError
from harness.formatting import legible

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PACKAGE = Path(__file__).resolve().parent


def read_whole(path: Path, most: int = 1 << 28) -> bytes:
    """Read a regular file of at most ``most`` bytes. OSError where it is none; a FIFO is not waited for."""
    with _opened(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"it has over {most:,} bytes")
        return file.read(most + 1)[:most]


def decoded(content: bytes) -> str:
    """Decode UTF-8, or UTF-16 that begins with its mark, without the mark. UnicodeDecodeError where it is neither."""
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_wide else "utf-8-sig")


def file_hash(path: Path) -> str:
    """Compute the SHA-256 of a regular file, in hex. OSError where it is none."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _opened(path: Path) -> io.BufferedReader:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a regular file")
    return file


def write_whole(path: Path, content: bytes) -> None:
    """Write beside ``path``, flush to disk, then rename over it. A reader sees the old file, the new one, or none."""
    _renamed({path: _draft(path, _with(content))})


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write ``packed`` arrays as ``write_whole`` does, without holding the file in memory."""
    _renamed({path: _draft(path, lambda file: _pack(file, arrays, level=1))})


def write_named(path: Path, content: bytes) -> None:
    """Write a file that the user named: the target of a link is replaced, and a device is left alone."""
    real = Path(os.path.realpath(path))
    if os.path.lexists(real) and not real.is_file():
        raise UsageError(f"cannot write {legible(path)}: it is there and no file; choose another --out")
    write_whole(real, content)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write all files, the last one last, or none; the old ones are gone before the first new one appears.

    Everything is on the disk before, so that a process that is killed is hardly ever killed in between.
    """
    drafts: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            drafts[path] = _draft(path, _with(content))
        for path in reversed(list(contents)):
            path.unlink(missing_ok=True)
    except BaseException as error:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
        if isinstance(error, OSError):
            printable = legible(path)
            raise UsageError(f"{printable} cannot be replaced: {error.strerror}; choose another --out") from error
        raise
    _renamed(drafts)


def forget_drafts(folder: Path, *names: str) -> None:
    """Remove what a killed process had not yet renamed to one of these names, which may hold wildcards."""
    for name in names:
        for draft in folder.glob(f".{name}.????????"):
            draft.unlink(missing_ok=True)


def _draft(path: Path, fill: Callable[[BinaryIO], object]) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UsageError(f"cannot write into {legible(path.parent)}: {error.strerror}; choose another --out") from error
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _no_room(path, error) from error
        raise
    return Path(name)


def _with(content: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(content)


def _renamed(drafts: Mapping[Path, Path]) -> None:
    for path, draft in drafts.items():
        try:
            draft.replace(path)
        except OSError as error:
            for left in drafts.values():
                left.unlink(missing_ok=True)
            raise _no_room(path, error) from error


def _no_room(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write {legible(path)}: {error.strerror}; free some space or choose another --out")


def packed(arrays: Mapping[str, NDArray[Any]], *, level: int = 1) -> bytes:
    """Pack arrays in the form of an .npz file; equal arrays give equal bytes."""
    file = io.BytesIO()
    _pack(file, arrays, level)
    return file.getvalue()


def _pack(file: BinaryIO, arrays: Mapping[str, NDArray[Any]], level: int) -> None:
    import numpy as np  # here, because --help and each press of Tab read names of files only

    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type, entry.file_size = zipfile.ZIP_DEFLATED, array.nbytes  # decides on long sizes
            entry._compresslevel = level  # type: ignore[attr-defined]
            with archive.open(entry, "w") as part:  # in pieces: no second copy of a large array
                np.lib.format.write_array(part, np.ascontiguousarray(array), allow_pickle=False)


def unpacked(content: bytes) -> dict[str, NDArray[Any]]:
    """Unpack the arrays of ``packed``. UsageError where the content is anything else."""
    import numpy as np

    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return dict(archive)
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise UsageError("a file of the evidence is damaged; run harness run again") from error


def shipped_folder(name: str) -> Path:
    """Return the folder ``suites`` or ``reports`` of this installation."""
    for place in (_PACKAGE / name, _PACKAGE.parent / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"{name}/ is neither in {_PACKAGE} nor beside it: the installation is incomplete")


def shipped_policies() -> dict[str, Path]:
    """Return the policies of this installation by name."""
    return {path.stem: path for path in sorted(shipped_folder("suites").glob("*.toml"))}
