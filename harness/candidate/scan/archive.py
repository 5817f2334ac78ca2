"""A .keras file as a zip archive: exactly three plain members, each read within its budget."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from pathlib import Path

from harness.candidate.scan import budget
from harness.candidate.scan.budget import Rejected
from harness.formatting import one_line

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LIMITS = {CONFIG: budget.MAX_CONFIG_BYTES, METADATA: 1 << 16, WEIGHTS: budget.MAX_WEIGHTS_BYTES}
AGAIN = "save it again with model.save('model.keras')"
GET_AGAIN = f"copy or download it again, or {AGAIN}"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, NotImplementedError)
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MAX_DIRECTORY = 1 << 17  # bytes; three members need 200, the comment of an archive 64 KiB
_PART_BYTES = 1 << 20


def read(path: Path) -> dict[str, bytes]:
    """Read the configuration and the metadata, and check that the weights are whole. Raises Rejected."""
    with path.open("rb") as file:
        _signature(file.read(8))
    try:
        members = _listed(path)
        _members(members)
        with zipfile.ZipFile(path) as archive:
            return {info.filename: _content(archive, info) for info in members}
    except _DAMAGE as error:
        raise Rejected(f"it is a damaged .keras file ({one_line(str(error), 80)}); {GET_AGAIN}") from error


def metadata(path: Path) -> bytes:
    """Return the metadata of an archive that holds something else, too; empty where they cannot be read."""
    try:
        info = next(info for info in _listed(path) if info.filename == METADATA)
        _declared(info)
        with zipfile.ZipFile(path) as archive:
            return _content(archive, info)
    except (Rejected, StopIteration, *_DAMAGE):
        return b""


def names(path: Path) -> list[str]:
    """Return the names of the members of a zip archive; none of a damaged one."""
    try:
        return [info.filename for info in _listed(path)]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError):
        return []


def _listed(path: Path) -> list[zipfile.ZipInfo]:
    with _Directory(path) as directory, zipfile.ZipFile(directory) as archive:
        return archive.infolist()


class _Directory(io.FileIO):
    """A file of which little can be read at once, so that a list of members is never long."""

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(_MAX_DIRECTORY + 1 if size is None or size < 0 else min(size, _MAX_DIRECTORY + 1))
        if content is not None and len(content) > _MAX_DIRECTORY:
            raise Rejected(f"its list of members is longer than {_MAX_DIRECTORY >> 10} KiB; {AGAIN}")
        return content or b""


def _signature(first: bytes) -> None:
    if not first:
        raise Rejected(f"it is empty; {GET_AGAIN}")
    if not first.startswith(b"PK\x03\x04"):
        raise Rejected(f"it is no .keras file (it does not begin like a zip archive); {AGAIN}")


def _members(members: list[zipfile.ZipInfo]) -> None:
    names = [info.filename for info in members]
    for name in names:
        if name not in LIMITS:
            raise Rejected(
                f"it holds the member {one_line(name, 60)!r}; a .keras file holds {_expected()}, and no more"
            )
        if names.count(name) > 1:
            raise Rejected(f"it holds {name} twice; {AGAIN}")
    if missing := [name for name in LIMITS if name not in names]:
        raise Rejected(f"it holds no {missing[0]}; a .keras file holds {_expected()}")
    for info in members:
        _declared(info)


def _expected() -> str:
    return f"{METADATA}, {CONFIG} and {WEIGHTS}"


def _declared(info: zipfile.ZipInfo) -> None:
    mode = info.external_attr >> 16
    if info.flag_bits & 0x1:
        raise Rejected(f"its {info.filename} is encrypted; {AGAIN}")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise Rejected(f"its {info.filename} is a link or no plain file; {AGAIN}")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Rejected(f"its {info.filename} is packed in an unusual way; {AGAIN}")
    max_bytes = LIMITS[info.filename]
    if info.file_size > max_bytes:
        raise Rejected(f"its {info.filename} unpacks to {info.file_size:,} bytes; {max_bytes:,} are the limit")
    if info.file_size > budget.SMALL_BYTES and info.file_size > budget.MAX_COMPRESSION * max(info.compress_size, 1):
        raise Rejected(
            f"its {info.filename} unpacks to {info.file_size:,} bytes from {info.compress_size:,};"
            f" {budget.MAX_COMPRESSION} times as much is the limit"
        )


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Read a member to its end, which checks length and checksum; large content is not returned."""
    parts, size = [], 0
    with archive.open(info) as member:
        while part := member.read(_PART_BYTES):
            size += len(part)
            if size > info.file_size:
                raise Rejected(f"its {info.filename} is longer than it says; {AGAIN}")
            if info.filename != WEIGHTS:
                parts.append(part)
            elif size == len(part) and not part.startswith(_HDF5):
                raise Rejected(f"its {WEIGHTS} is no HDF5 file; {AGAIN}")
    if size != info.file_size:
        raise Rejected(f"its {info.filename} is shorter than it says; {GET_AGAIN}")
    return b"".join(parts)
