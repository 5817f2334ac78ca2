"""What the user named, copied once: the copy is what is hashed, inspected, loaded and recorded."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeAlias

from harness.records import Unusable
from harness.subject import scan
from harness.words import one_line

Kind: TypeAlias = Literal["keras", "h5"]

MOST_BYTES = 1 << 29  # of a candidate; the weights of a digit model are a few MB
_PART = 1 << 20
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # Path has made one slash of two
_KINDS: dict[str, Kind] = {".keras": "keras", ".h5": "h5"}


@dataclass(frozen=True)
class Candidate:
    """A private copy of what was handed in; ``sha256`` and ``size`` are of the copy's bytes."""

    name: str  # as handed in, without folders
    path: Path  # of the copy
    kind: Kind
    sha256: str
    size: int


def take(path: Path, scratch: Path) -> Candidate:
    """Copy ``path`` into ``scratch`` and inspect the copy. Unusable where it is not what may be loaded."""
    shown = one_line(str(path))
    if _ADDRESS.match(str(path)):
        raise Unusable(f"{shown} is an address, not a file; download it first")
    if path.suffix not in _KINDS:
        raise Unusable(f"{shown} is neither .keras nor .h5; save it with model.save('model.keras')")
    copy = scratch / f"candidate{path.suffix}"
    digest, size = _copied(path, copy, shown)
    if path.suffix == ".keras":
        try:
            scan.keras_file(copy)
        except scan.Rejected as rejected:
            raise Unusable(f"{shown}: {rejected}") from rejected
    return Candidate(Path(os.path.realpath(path)).name, copy, _KINDS[path.suffix], digest, size)


def _copied(path: Path, copy: Path, shown: str) -> tuple[str, int]:
    """Copy a regular file; its SHA-256 and size."""
    source = _opened(path, shown)
    digest, size = sha256(), 0
    with os.fdopen(source, "rb", buffering=0) as original, copy.open("xb") as written:
        while part := _read(original.read, shown):
            size += len(part)
            if size > MOST_BYTES:
                raise Unusable(f"{shown} is larger than {MOST_BYTES >> 20} MiB; a digit model has a few MiB")
            digest.update(part)
            try:
                written.write(part)
            except OSError as error:
                raise Unusable(f"{shown} cannot be copied to {copy.parent}: {error.strerror}; set TMPDIR") from error
    copy.chmod(0o400)
    return digest.hexdigest(), size


def _read(read: Callable[[int], bytes | None], shown: str) -> bytes:
    try:
        return read(_PART) or b""
    except OSError as error:
        raise Unusable(f"{shown} cannot be read: {error.strerror}") from error


def _opened(path: Path, shown: str) -> int:
    """A descriptor of a regular file. Looks before it opens, since to open a device may do something."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unusable(f"{shown} is not a file; give the path of a saved model")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Unusable(f"{shown} is not a file; give the path of a saved model") from error
    except (OSError, ValueError) as error:  # a loop of links, a name too long, a folder that may not be entered
        raise Unusable(f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unusable(f"{shown} is not a file; give the path of a saved model")
    return descriptor
