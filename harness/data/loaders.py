"""Files from outside: opened without blocking, sized before they are read, never read past what they declare."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from harness.errors import UsageError
from harness.formatting import one_line

MAX_BYTES = 2**31  # of one file, and of all arrays together

FORMS = "a .npz, CSV or Parquet file, a folder of IDX files, one with a folder of images per digit, keras or embedded"

_CHUNK = 2**20
_SYSTEM = ("thumbs.db", "desktop.ini")


def named(path: Path) -> str:
    """Format a path for a message: printable and on one line."""
    return one_line(str(path))


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file of at most 2 GiB. A FIFO, a device or a folder is UsageError, and never waited for."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise UsageError(f"{named(path)} cannot be opened: {why(error)}; is the path right?") from error
    facts = os.fstat(handle)
    if stat.S_ISREG(facts.st_mode) and facts.st_size <= MAX_BYTES:
        return os.fdopen(handle, "rb")
    os.close(handle)
    if not stat.S_ISREG(facts.st_mode):
        raise UsageError(f"{named(path)} is {_kind(facts.st_mode)}; give a regular file")
    raise UsageError(f"{named(path)} has {facts.st_size:,} bytes; at most {MAX_BYTES:,} are read. Give fewer images")


def mode_of(path: Path) -> int:
    """Return the file type bits of the target of ``path``; UsageError if there is none."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError) as error:
        raise UsageError(f"{named(path)} cannot be read: {why(error)}; give {FORMS}") from error


def listed(folder: Path) -> list[Path]:
    """List a folder in order, without hidden files and what Windows leaves in folders; UsageError."""
    try:
        return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.name.lower() not in _SYSTEM)
    except OSError as error:
        raise UsageError(f"{named(folder)} cannot be read: {why(error)}; check its permissions") from error


def why(error: Exception) -> str:
    """Format an exception's reason in one short line."""
    return one_line((isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__, 120)


def read_exactly(file: IO[bytes], size: int, what: str) -> bytearray:
    """Read ``size`` bytes in small steps and make sure the file ends there; UsageError if it is shorter or longer."""
    content = bytearray()
    while len(content) <= size and (chunk := file.read(min(_CHUNK, size + 1 - len(content)))):
        content += chunk
    if len(content) != size:
        got = f"only {len(content):,}" if len(content) < size else "more"
        raise UsageError(f"{what} declares {size:,} bytes of data but holds {got}; the file is damaged, get it again")
    return content


def _kind(mode: int) -> str:
    names = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return names.get(stat.S_IFMT(mode), "a device")
