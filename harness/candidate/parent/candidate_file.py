"""What the user named, copied once: the copy is what is hashed, inspected, loaded and recorded."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

from harness.candidate import scan
from harness.errors import UsageError
from harness.formatting import one_line

Kind: TypeAlias = Literal["keras", "h5", "savedmodel", "factory"]

MOST_BYTES = 1 << 29  # of a candidate; the weights of a digit model are a few MB
MOST_FILES = 100  # of a folder
_PART = 1 << 20
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # Path has made one slash of two
_FACTORY = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")
_SAVED = re.compile(
    r"saved_model\.pb|fingerprint\.pb|keras_metadata\.pb|variables/variables\.(index|data-\d{5}-of-\d{5})"
)
_KINDS: dict[str, Kind] = {".keras": "keras", ".h5": "h5"}
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class CandidateFile:
    """A private copy of what was handed in; ``sha256`` and ``size`` are of the copy's bytes."""

    name: str  # as handed in, without folders
    path: Path  # of the copy; of a factory the module's file
    kind: Kind
    sha256: str
    size: int


def copy_candidate(path: Path, scratch: Path, *, allow_code: bool = False) -> CandidateFile:
    """Copy ``path`` into ``scratch`` and inspect the copy. UsageError where it is not what may be loaded."""
    shown = one_line(str(path))
    if _ADDRESS.match(str(path)):
        raise UsageError(f"{shown} is an address, not a file; download it first")
    if (named := _FACTORY.fullmatch(str(path))) and not os.path.lexists(path):
        return _factory(named[1], shown, allow_code)
    if _is_folder(path, shown):
        return _folder(path, scratch, shown)
    if path.suffix not in _KINDS:
        raise UsageError(f"{shown} is neither .keras nor .h5, nor a folder; save it with model.save('model.keras')")
    copy = scratch / f"candidate{path.suffix}"
    digest, size = _copied(_opened(path, shown), copy, shown)
    if path.suffix == ".keras":
        _inspect(copy, shown)
    return CandidateFile(_name(path), copy, _KINDS[path.suffix], digest, size)


def _name(path: Path) -> str:
    return Path(os.path.realpath(path)).name


def _inspect(copy: Path, shown: str) -> None:
    try:
        scan.keras_file(copy)
    except scan.Rejected as rejected:
        raise UsageError(f"{shown}: {rejected}") from rejected


def _factory(module: str, shown: str, allow_code: bool) -> CandidateFile:
    """``module:function`` in the working folder: hashed, and imported by nobody but the child."""
    if not allow_code:
        raise UsageError(f"{shown} is code, which would be run to make the model; --allow-code lets it")
    place = Path(*module.split("."))
    path = next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)
    if path is None:
        raise UsageError(f"{shown}: there is no {place}.py in the working folder; run from the folder it lies in")
    content = b"".join(_parts(_opened(path, shown), shown))
    return CandidateFile(shown, path.absolute(), "factory", sha256(content).hexdigest(), len(content))


def _folder(path: Path, scratch: Path, shown: str) -> CandidateFile:
    """A SavedModel, or what a .keras file holds, unpacked: that is packed again, so that it is read in one way."""
    copy, lines, total = scratch / "candidate", [], 0
    copy.mkdir()
    for name, source in _files(path, shown):
        (copy / name).parent.mkdir(exist_ok=True)
        digest, size = _copied(source, copy / name, shown, MOST_BYTES - total)
        lines.append(f"{name}\0{size}\0{digest}\n")
        total += size
    names = [line.partition("\0")[0] for line in lines]
    kind: Kind = "savedmodel" if "saved_model.pb" in names else "keras"
    if kind == "savedmodel":
        if strange := next((name for name in names if not _SAVED.fullmatch(name)), None):
            raise UsageError(
                f"{shown} holds {one_line(strange, 80)}, which a SavedModel of a digit model does not need"
            )
    elif "config.json" in names:
        packed = scratch / "candidate.keras"
        with zipfile.ZipFile(packed, "w") as archive:
            for name in names:
                archive.write(copy / name, name)
        _inspect(packed, shown)
        copy = packed
    else:
        raise UsageError(
            f"{shown} is a folder with neither saved_model.pb nor config.json; give a model's file or folder"
        )
    return CandidateFile(_name(path), copy, kind, sha256("".join(lines).encode()).hexdigest(), total)


def _is_folder(path: Path, shown: str) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be entered
        _unreadable(error, shown)


def _files(path: Path, shown: str) -> Iterator[tuple[str, int]]:
    """Name and descriptor of every file of a folder and its folders, in order; no link is followed."""
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        found = _listed(top, "", shown)
        for name in sorted(found):
            yield name, os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=top)
        os.close(top)
    except OSError as error:
        _unreadable(error, shown)


def _listed(folder: int, prefix: str, shown: str) -> list[str]:
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False) and not prefix:
                inner = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                found += _listed(inner, f"{name}/", shown)
                os.close(inner)
            elif entry.is_file(follow_symlinks=False) and len(found) < MOST_FILES:
                found.append(name)
            else:
                what = "more files than a model has" if len(found) >= MOST_FILES else one_line(name, 80)
                raise UsageError(f"{shown} holds {what}; a model folder holds a few plain files, and no links")
    return found


def _copied(source: int, copy: Path, shown: str, most: int | None = None) -> tuple[str, int]:
    """Copy a descriptor to its end, of at most ``most`` bytes; the SHA-256 and size of what was written."""
    digest, size = sha256(), 0
    with copy.open("xb") as written:
        for part in _parts(source, shown):
            size += len(part)
            if size > (MOST_BYTES if most is None else most):
                raise UsageError(f"{shown} is larger than {MOST_BYTES >> 20} MiB; a digit model has a few MiB")
            digest.update(part)
            try:
                written.write(part)
            except OSError as error:
                raise UsageError(f"{shown} cannot be copied to {copy.parent}: {error.strerror}; set TMPDIR") from error
    copy.chmod(0o400)
    return digest.hexdigest(), size


def _parts(source: int, shown: str) -> Iterator[bytes]:
    """What a descriptor of a regular file holds; it is closed afterwards."""
    with os.fdopen(source, "rb", buffering=0) as original:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise UsageError(f"{shown} is not a file; give the path of a saved model")
        try:
            while part := original.read(_PART):
                yield part
        except OSError as error:
            _unreadable(error, shown)


def _opened(path: Path, shown: str) -> int:
    """A descriptor of a regular file. Looks before it opens, since to open a device may do something."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{shown} is not a file; give the path of a saved model")
        return os.open(path, _FLAGS)
    except FileNotFoundError as error:
        raise UsageError(f"{shown} is not a file; give the path of a saved model") from error
    except (OSError, ValueError) as error:  # a loop of links, a name too long, a folder that may not be entered
        _unreadable(error, shown)


def _unreadable(error: Exception, shown: str) -> NoReturn:
    raise UsageError(f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}") from error
