"""A policy file as text: read, parsed, and the line of every key in it."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files import decoded, shipped_folder, shipped_policies
from harness.formatting import legible, one_line

MOST_BYTES = 1 << 20

_HEADER = re.compile(r"\s*\[\[?\s*[\"']?([\w.-]+)[\"']?\s*\]\]?\s*(#.*)?$")
_COMMENT_OR_STRING = re.compile(
    r"#[^\n]*|\"\"\"(?:\\.|[^\\])*?\"\"\"+|'''.*?'''+|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'", re.DOTALL
)


@dataclass(frozen=True)
class Section:
    """The lines under one TOML header; the first of a file has none."""

    name: str
    line: int  # of the header; 0 where there is none
    lines: tuple[str, ...]

    def line_of(self, key: str) -> int:
        """Find the line where ``key`` is given; the header where it is not."""
        given = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]")
        return next((at for at, line in enumerate(self.lines, self.line + 1) if given.match(line)), max(self.line, 1))


@dataclass(frozen=True)
class Source:
    """The text of a policy file, its content and the lines that its tables begin at."""

    path: Path
    name: str  # as findings give it
    text: str
    content: Mapping[str, Any]

    @cached_property
    def sha256(self) -> str:
        """Return the SHA-256 of the text, in hex."""
        return sha256(self.text.encode()).hexdigest()

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Return the tables in the order of the file; the first holds the keys before any header."""
        tables: list[tuple[str, int, list[str]]] = [("", 0, [])]
        bare = _COMMENT_OR_STRING.sub(_emptied, self.text)
        for number, line in enumerate(bare.split("\n"), 1):
            if header := _HEADER.match(line):
                tables.append((header[1], number, []))
            else:
                tables[-1][2].append(line)
        return tuple(Section(name, line, tuple(lines)) for name, line, lines in tables)

    def tables(self, name: str) -> tuple[Section, ...]:
        """Return the tables under headers of this name."""
        return tuple(section for section in self.sections if section.name == name)

    def at(self, *place: str | int) -> str:
        """Write ``file:line`` of a place in the content: ("limits", "start_seconds"), ("gate", 3, "metric")."""
        name, *rest = place or ("",)
        named = self.tables(str(name)) if name else ()
        if rest and isinstance(rest[0], int) and rest[0] < len(named):
            section, key = named[rest[0]], str(rest[1]) if len(rest) > 1 else ""
        else:
            section, key = (named[0], str(rest[0]) if rest else "") if named else (self.sections[0], str(name))
        return self.line(section.line_of(key))

    def line(self, number: int) -> str:
        """Return ``file:line`` of a line number."""
        return f"{legible(self.path)}:{number}"


def read(path: Path, asked: str) -> Source:
    """Read TOML. UsageError, behind ``asked`` (who named the file), where there is none to read."""
    try:
        if not path.is_file():
            raise UsageError(f"{asked} is not a file; {_meant(path)}")
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise UsageError(f"{legible(path)}:1: is over {MOST_BYTES:,} bytes; a policy is a short text")
        return parsed(path, placed(path), decoded(raw).replace("\r\n", "\n"))
    except OSError as error:
        raise UsageError(f"{asked} cannot be read: {error.strerror}; check its permissions") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{legible(path)}:{line}: is not UTF-8 text; save it as UTF-8") from error


def parsed(path: Path, name: str, text: str) -> Source:
    """Parse the TOML of a policy file. UsageError where it is none; ``name``: as findings give the file."""
    try:
        content = tomllib.loads(text)
        if not content:
            raise UsageError(
                f"{legible(path)}:1: is empty; a policy holds format = 1, a name and a [[gate]] for each rule"
            )
        return Source(path, name, text, content)
    except tomllib.TOMLDecodeError as error:
        named = re.search(r"line (\d+)", str(error))
        line = int(named[1]) if named else text.rstrip("\n").count("\n") + 1
        raise UsageError(f"{legible(path)}:{line}: is not TOML: {one_line(str(error), 120)}") from error
    except (RecursionError, ValueError) as error:
        raise UsageError(f"{legible(path)}:1: is nested too deeply or holds a number too long to read") from error


def find(named: Path) -> Path:
    """Return the file of a policy that is named by its path or, where no such file is, as one that is shipped."""
    try:
        return named if named.is_file() else shipped_policies().get(str(named), named)
    except (OSError, ValueError):  # a name that no file can have: reading it says so
        return named


def _meant(path: Path) -> str:
    """Say which policy a name that is no file's may have meant."""
    shipped = shipped_policies()
    beside = [str(each) for each in path.parent.glob("*.toml")] if path.parent.is_dir() else []
    close = difflib.get_close_matches(str(path), beside, 1) or difflib.get_close_matches(path.stem, shipped, 1)
    if close:
        return f"did you mean {legible(Path(close[0]))!r}?"
    return f"give the path of a policy, or the name of a shipped one: {', '.join(shipped)}"


def placed(path: Path) -> str:
    """Name a policy file, with ``/``: relative to the working folder where it is below it, else without its folder."""
    try:
        own = not (path.is_absolute() and path.parent == shipped_folder("suites"))
        name = path.resolve().relative_to(Path.cwd().resolve()).as_posix() if own else path.name
    except (OSError, ValueError):
        name = path.name
    return one_line(name, 120)


def _emptied(found: re.Match[str]) -> str:
    """Comments and strings of several lines, without their text; other strings may be quoted keys and stay."""
    text = found[0]
    return "\n" * text.count("\n") if text.startswith("#") or "\n" in text else text
