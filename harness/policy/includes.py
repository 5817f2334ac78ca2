"""The files of a policy, one by one: from the disk, or from the record of a run; and their record."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from harness.errors import NotRecorded, UsageError
from harness.files import shipped_folder
from harness.formatting import legible, one_line
from harness.policy.source import Source, parsed, read
from harness.policy.table import FileTable, fitted, mended
from harness.records import PolicyFacts, PolicyFile

File = tuple[Source, FileTable, tuple[str, ...]]  # its text, its content, the SHA-256 of each file that it includes
_Key = TypeVar("_Key", Path, str)  # a file on the disk, or the SHA-256 of one in a record


def from_disk(path: Path, asked: str, mistakes: list[str]) -> list[File]:
    """Read a file and, once each, those it includes, depth first; ``asked``: who names it."""

    def included(source: Source, at: int, name: str) -> Path:
        return beside_or_shipped(source.path, name)

    return _walked(path, asked, read, included, mistakes)


def from_record(facts: PolicyFacts, mistakes: list[str]) -> list[File]:
    """Read the files in the record of a policy. NotRecorded where it lacks what that takes, UsageError where it does
    not agree with itself.
    """
    if not facts.files:
        raise UsageError("its policy has no file")
    texts = {file.sha256: file for file in facts.files}
    if any(len(re.findall(r"^\s*format\s*=", file.text, re.MULTILINE)) > 1 for file in facts.files):
        raise NotRecorded("an earlier version recorded its policy as one text of several files")
    if named := _own_code(facts):
        raise NotRecorded(f"its policy measures by {one_line(named, 120)}, which is not imported from a record")

    def recorded(key: str, asked: str) -> Source:
        file = texts.get(key)
        if file is None:
            raise UsageError(f"{asked} is not in the record")
        source = parsed(Path(file.name), file.name, file.text)
        if source.sha256 != file.sha256:
            raise UsageError(f"{asked} has another SHA-256 than the record says")
        return source

    def included(source: Source, at: int, name: str) -> str:
        keys = texts[source.sha256].includes
        return keys[at] if at < len(keys) else ""

    return _walked(facts.files[0].sha256, one_line(facts.files[0].name), recorded, included, mistakes)


def sha256_of(files: Sequence[File]) -> str:
    """Return the SHA-256 of the file; of several, that of their SHA-256, a line each."""
    each = [source.sha256 for source, _, _ in files]
    return each[0] if len(each) == 1 else sha256("\n".join(each).encode()).hexdigest()


def record_of(files: Sequence[File]) -> tuple[PolicyFile, ...]:
    """Record the files whole."""
    return tuple(PolicyFile(source.name, source.sha256, source.text, keys) for source, _, keys in files)


def beside_or_shipped(path: Path, name: str) -> Path:
    """Return the file beside a policy that has this name, or the shipped one."""
    beside = path.parent / name
    try:
        return beside if beside.is_file() else shipped_folder("suites") / name
    except OSError:  # a name too long, a folder that may not be entered: reading it says so
        return beside


def _walked(
    first: _Key,
    asked: str,
    opened: Callable[[_Key, str], Source],
    included: Callable[[Source, int, str], _Key],
    mistakes: list[str],
) -> list[File]:
    """List a file and, once each, those it includes, depth first; ``asked``: who names it."""
    files: list[tuple[Source, FileTable, list[_Key]]] = []
    contents: dict[_Key, str] = {}  # SHA-256 of what has been read
    waiting: list[tuple[_Key, str, tuple[str, ...]]] = [(first, asked, ())]
    above: tuple[str, ...]
    while waiting:
        key, asked, above = waiting.pop()
        try:
            source = opened(key, asked)
        except (OSError, RuntimeError, ValueError) as error:  # a name that no file can have
            mistakes.append(f"{asked} is not a file: {one_line(str(error), 120)}")
            continue
        except UsageError as error:
            mistakes.append(str(error))
            continue
        if source.sha256 in above:
            mistakes.append(f"{asked} includes itself; remove the include")
            continue
        is_read = source.sha256 in contents.values()
        contents[key] = source.sha256
        if is_read:
            continue
        table = fitted(FileTable, source.content, source, mistakes) or mended(FileTable, source.content)[0]
        if table is None:
            continue
        for name in ("limits", "preprocessing"):
            if above and name in source.content:
                into = legible(files[0][0].path)
                mistakes.append(f"{source.at(name)}: {name} of an included policy do not hold; move them to {into}")
        keys = [included(source, at, name) for at, name in enumerate(table.include)]
        files.append((source, table, keys))
        place, below = source.at("include"), (*above, source.sha256)
        waiting += [
            (below_key, f"{place}: {one_line(name, 120)}", below)
            for below_key, name in reversed(list(zip(keys, table.include, strict=True)))
        ]
    return [(source, table, tuple(contents.get(key, "") for key in keys)) for source, table, keys in files]


def _own_code(facts: PolicyFacts) -> str:
    """Name the first metric or corruption of the policy that is a function of the user's; empty where none is."""
    for file in facts.files:
        for gate in parsed(Path(file.name), file.name, file.text).content.get("gate", ()):
            many = gate.get("corruptions", ())
            for name in (gate.get("metric"), gate.get("corruption"), *(many if isinstance(many, list) else ())):
                if isinstance(name, str) and ":" in name:
                    return name
    return ""
