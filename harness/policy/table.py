"""The tables a policy file may hold, and what is said of those that do not fit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.candidate.parent.limits import Limits
from harness.formatting import one_line
from harness.policy.source import Section, Source
from harness.records import CLASSES

Table = TypeVar("Table", bound=BaseModel)

_Share = Annotated[float, Field(allow_inf_nan=False)]
_Seconds = Annotated[float, Field(gt=0, le=3600)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Why = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")]
ARRAYS = ("gate", "check", "waiver")  # the tables that a file holds several of


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class GateTable(_Closed):
    """The keys of a ``[[gate]]``."""

    metric: _Name
    because: _Why
    digit: Annotated[int, Field(ge=0, lt=CLASSES)] | Literal["each"] | None = Field(default=None, alias="class")
    corruption: _Name | None = None
    corruptions: Annotated[list[_Name], Field(min_length=2, max_length=100)] | None = None
    severity: Annotated[int, Field(ge=1, le=5)] | None = None
    within: Annotated[int, Field(ge=1)] | None = None
    property: _Name | None = None
    column: _Name | None = None
    reaching: _Share | None = None
    slice: Annotated[int, Field(ge=1, le=5)] | Literal["each"] | None = None
    at_least: _Share | None = None
    at_most: _Share | None = None
    no_worse_than: Literal["baseline", "anchor"] | None = None
    margin: _Share | Annotated[str, Field(max_length=60)] | None = None
    kind: Literal["primary", "guard"] | None = None
    level: Literal["required", "warning"] = "required"
    decide: Literal["proven", "point", "not-disproven"] | None = None
    confidence: Annotated[float, Field(ge=0.5, lt=1.0, allow_inf_nan=False)] = 0.95


class LimitsTable(_Closed):
    """The keys of ``[limits]``."""

    start_seconds: _Seconds = Limits.start_seconds
    answer_seconds: _Seconds = Limits.answer_seconds
    run_seconds: Annotated[float, Field(gt=0, le=86400)] = Limits.run_seconds
    memory_mb: Annotated[int, Field(ge=1, le=1 << 20)] = Limits.memory_mb
    cpu_seconds: Annotated[int, Field(ge=1, le=864000)] = Limits.cpu_seconds


class PreprocessingTable(_Closed):
    """The keys of ``[preprocessing]``."""

    kind: _Name
    mean: Annotated[float, Field(ge=-1000, le=1000)] | None = None
    std: Annotated[float, Field(gt=1e-6, le=1000)] | None = None


class CheckTable(_Closed):
    """The keys of a ``[[check]]``."""

    id: _Name
    level: Literal["warning"]
    because: _Why


class WaiverTable(_Closed):
    """The keys of a ``[[waiver]]``."""

    finding: _Name
    until: date
    by: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
    because: _Why


class FileTable(_Closed):
    """The keys of a policy file; each gate is read by itself, so that every mistake is named."""

    format: Literal[1]
    name: _Name
    unit: _Name | None = None
    include: list[_Name] = Field(default_factory=list)
    predict_for: Annotated[list[_Name], Field(max_length=100)] = Field(default_factory=list)
    limits: LimitsTable = Field(default_factory=LimitsTable)
    preprocessing: PreprocessingTable | None = None
    gate: list[dict[str, Any]] = Field(default_factory=list)
    check: Annotated[list[dict[str, Any]], Field(max_length=200)] = Field(default_factory=list)
    waiver: Annotated[list[dict[str, Any]], Field(max_length=200)] = Field(default_factory=list)


_INNER: dict[str | int, type[BaseModel]] = {"limits": LimitsTable, "preprocessing": PreprocessingTable}


def fitted(kind: type[Table], content: object, source: Source, mistakes: list[str], *place: str | int) -> Table | None:
    """Read ``content`` as a table of this kind; None, and a line per mistake, where it does not fit."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        said: dict[tuple[str | int, ...], list[str]] = {}
        for problem in error.errors():
            where = _key_of(place + problem["loc"])
            text, before = _problem(problem, where, kind), said.setdefault(where, [])
            before.append(text.partition(": ")[2] if before else text)
        mistakes += [f"{source.at(*where)}: {', or '.join(texts)}" for where, texts in said.items()]
        return None


def tables(
    kind: type[Table], contents: Sequence[object], source: Source, name: str, mistakes: list[str]
) -> Iterator[tuple[Table, Section]]:
    """Yield the tables of one name that fit their kind, each with its lines; a line per mistake in the others."""
    sections = source.tables(name)
    if len(sections) != len(contents):
        mistakes.append(f"{source.at(name)}: write each {name} under a [[{name}]] header of its own")
        return
    for number, (content, section) in enumerate(zip(contents, sections, strict=True)):
        rule = fitted(kind, content, source, mistakes, name, number)
        if rule is not None:
            yield rule, section


def suggest(name: str, known: Iterable[str]) -> str:
    """Name the way out of an unknown name."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"


def _key_of(place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return where a key is given: without what lies inside its value."""
    return place[: 3 if place[0] in ARRAYS else 2 if place[0] in _INNER else 1]


def _problem(problem: Any, where: tuple[str | int, ...], kind: type[BaseModel]) -> str:
    key = str(where[-1])
    if problem["type"] == "extra_forbidden":
        fields = _INNER.get(where[0], kind).model_fields
        return (
            f"unknown key {one_line(key, 60)!r}{suggest(key, [field.alias or name for name, field in fields.items()])}"
        )
    if problem["type"] == "missing":
        return f"the key {key!r} is missing"
    if where[0] in ARRAYS and kind is FileTable:
        return f"{where[0]}: write each {where[0]} under a [[{where[0]}]] header of its own"
    return f"{key} = {one_line(repr(problem['input']), 60)}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
