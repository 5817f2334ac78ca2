"""The copy of the candidate: made once, and this copy is hashed, scanned, loaded and recorded."""

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
from harness.candidate.scan import formats
from harness.errors import UsageError
from harness.formatting import one_line

Kind: TypeAlias = Literal["keras", "h5", "savedmodel", "tflite", "factory"]

MAX_BYTES = 1 << 29  # of a candidate; the weights of a digit model are a few MB
MAX_FILES = 100  # of a folder
_PART_BYTES = 1 << 20
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # Path has made one slash of two
_FACTORY = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")
_SAVED = re.compile(
    r"saved_model\.pb|fingerprint\.pb|keras_metadata\.pb|variables/variables\.(index|data-\d{5}-of-\d{5})"
)
_BESIDE = re.compile(r"\..*|LICEN[CS]E|.*\.(md|png)", re.IGNORECASE)  # what repositories add and no model reads
_KINDS: dict[str, Kind] = {"keras": "keras", "h5": "h5", "tflite": "tflite"}
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class CandidateFile:
    """A private copy of the candidate; ``sha256`` and ``size`` are of the copy's bytes."""

    name: str  # as handed in, without folders
    path: Path  # of the copy; of a factory the module's file
    kind: Kind
    sha256: str
    size: int


def copy_candidate(path: Path, folder: Path, *, allow_code: bool = False) -> CandidateFile:
    """Copy ``path`` into ``folder`` and scan the copy. UsageError where it may not be loaded."""
    printable = one_line(str(path))
    if _ADDRESS.match(str(path)):
        raise UsageError(f"{printable} is an address, not a file; download it first")
    if (named := _FACTORY.fullmatch(str(path))) and not os.path.lexists(path):
        return _factory(named[1], printable, allow_code)
    if _is_folder(path, printable):
        return _folder(path, folder, printable)
    draft = folder / "candidate"
    digest, size = _copied(_opened(path, printable), draft, printable)
    kind = _kind(draft, path.suffix, printable)
    copy = draft.rename(folder / f"candidate.{kind}")
    if kind == "keras":
        _scan(copy, printable)
    return CandidateFile(_name(path), copy, kind, digest, size)


def _kind(copy: Path, suffix: str, printable: str) -> Kind:
    """Tell what a file is by its content; by its name only where that says nothing."""
    try:
        kind = formats.kind_of(copy) or suffix.lower().removeprefix(".").replace("hdf5", "h5")
    except scan.Rejected as rejected:
        raise UsageError(f"{printable}: {rejected}") from rejected
    if kind not in _KINDS:
        raise UsageError(f"{printable} is neither .keras nor .h5, nor a folder; save it with model.save('model.keras')")
    return _KINDS[kind]


def _name(path: Path) -> str:
    """Return the name that was given, not that of a link's target, which DVC and Hugging Face call by its hash."""
    return path.name if path.name not in ("", "..") else path.resolve().name


def _scan(copy: Path, printable: str) -> None:
    try:
        scan.keras_file(copy)
    except scan.Rejected as rejected:
        raise UsageError(f"{printable}: {rejected}") from rejected


def _factory(module: str, printable: str, allow_code: bool) -> CandidateFile:
    """Hash the file of ``module:function`` in the working folder; only the child imports it."""
    if not allow_code:
        raise UsageError(f"{printable} is code, which would be run to make the model; --allow-code lets it")
    place = Path(*module.split("."))
    path = next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)
    if path is None:
        raise UsageError(f"{printable}: there is no {place}.py in the working folder; run from the folder it lies in")
    content = b"".join(_parts(_opened(path, printable), printable))
    return CandidateFile(printable, path.absolute(), "factory", sha256(content).hexdigest(), len(content))


def _folder(path: Path, target: Path, printable: str) -> CandidateFile:
    """Copy a SavedModel, or the unpacked content of a .keras file, which is packed again so that there is one
    reader.
    """
    if not any((path / part).is_file() for part in ("saved_model.pb", "config.json")):
        why = formats.in_folder(_names(path, printable))
        raise UsageError(
            f"{printable} {why}"
            if why
            else f"{printable} is a folder with neither saved_model.pb nor config.json; give a model's file or folder"
        )
    copy, lines, total = target / "candidate", [], 0
    copy.mkdir()
    for name, source in _files(path, printable):
        (copy / name).parent.mkdir(exist_ok=True)
        digest, size = _copied(source, copy / name, printable, MAX_BYTES - total)
        lines.append(f"{name}\0{size}\0{digest}\n")
        total += size
    names = [line.partition("\0")[0] for line in lines]
    kind: Kind = "savedmodel" if "saved_model.pb" in names else "keras"
    if kind == "savedmodel":
        if strange := next((name for name in names if not _SAVED.fullmatch(name)), None):
            raise UsageError(
                f"{printable} holds {one_line(strange, 80)}, which a SavedModel of a digit model does not need"
            )
    else:
        packed = target / "candidate.keras"
        with zipfile.ZipFile(packed, "w") as archive:
            for name in names:
                archive.write(copy / name, name)
        _scan(packed, printable)
        copy = packed
    return CandidateFile(_name(path), copy, kind, sha256("".join(lines).encode()).hexdigest(), total)


def _is_folder(path: Path, printable: str) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be entered
        _unreadable(error, printable)


def _names(path: Path, printable: str) -> list[str]:
    """List the first files of a folder and the folders in it, a few deep; no link is followed."""
    names: list[str] = []
    try:
        for place, folders, files in os.walk(path):
            inner = Path(place).relative_to(path)
            names += (str(inner / name) for name in files)
            if len(names) > MAX_FILES or len(inner.parts) > 3:
                folders.clear()
            folders.sort()
    except OSError as error:
        _unreadable(error, printable)
    return names[:MAX_FILES]


def _files(path: Path, printable: str) -> Iterator[tuple[str, int]]:
    """Yield name and descriptor of every file that may be a model's, in order; no link is followed."""
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        names = _listed(top, "", printable)
        for name in sorted(names):
            yield name, os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=top)
        os.close(top)
    except OSError as error:
        _unreadable(error, printable)


def _listed(folder: int, prefix: str, printable: str) -> list[str]:
    names: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if _BESIDE.fullmatch(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False) and not prefix:
                inner = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
                names += _listed(inner, f"{name}/", printable)
                os.close(inner)
            elif entry.is_file(follow_symlinks=False) and len(names) < MAX_FILES:
                names.append(name)
            else:
                surplus = "more files than a model has" if len(names) >= MAX_FILES else one_line(name, 80)
                raise UsageError(f"{printable} holds {surplus}; a model folder holds a few plain files, and no links")
    return names


def _copied(source: int, copy: Path, printable: str, max_bytes: int | None = None) -> tuple[str, int]:
    """Copy a descriptor to its end, of at most ``most`` bytes; returns the SHA-256 and size of the copy."""
    digest, size = sha256(), 0
    with copy.open("xb") as written:
        for part in _parts(source, printable):
            size += len(part)
            if size > (MAX_BYTES if max_bytes is None else max_bytes):
                raise UsageError(f"{printable} is larger than {MAX_BYTES >> 20} MiB; a digit model has a few MiB")
            digest.update(part)
            try:
                written.write(part)
            except OSError as error:
                why = f"cannot be copied to {copy.parent}: {error.strerror}; set TMPDIR"
                raise UsageError(f"{printable} {why}") from error
    copy.chmod(0o400)
    return digest.hexdigest(), size


def _parts(source: int, printable: str) -> Iterator[bytes]:
    """Read a descriptor of a regular file in parts; it is closed afterwards."""
    with os.fdopen(source, "rb", buffering=0) as original:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise UsageError(f"{printable} is not a file; give the path of a saved model")
        try:
            while part := original.read(_PART_BYTES):
                yield part
        except OSError as error:
            _unreadable(error, printable)


def _opened(path: Path, printable: str) -> int:
    """Open a regular file. Its type is checked before, since opening a device may have an effect."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{printable} is not a file; give the path of a saved model")
        return os.open(path, _FLAGS)
    except FileNotFoundError as error:
        raise UsageError(f"{printable} is not a file; give the path of a saved model") from error
    except (OSError, ValueError) as error:  # a loop of links, a name too long, a folder that may not be entered
        _unreadable(error, printable)


def _unreadable(error: Exception, printable: str) -> NoReturn:
    raise UsageError(f"{printable} cannot be read: {getattr(error, 'strerror', None) or error}") from error
