"""The tables a policy file may hold, and what is said of those that do not fit."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    metric: _Name = Field(description="A [metric](metrics.md), or `package.module:function` of your own.")
    because: _Why = Field(description="Why the rule stands; shown wherever its result is.")
    digit: Annotated[int, Field(ge=0, lt=CLASSES)] | Literal["each"] | None = Field(
        default=None, alias="class", description="The digit that a metric of one digit is of; each: ten gates."
    )
    corruption: _Name | None = Field(
        default=None, description="A [corruption](corruptions.md), a space or an attack; default: clean images."
    )
    corruptions: Annotated[list[_Name], Field(min_length=2, max_length=100)] | None = Field(
        default=None, description="Corruptions to take the mean over, each as `name@severity`."
    )
    severity: Annotated[int, Field(ge=1, le=5)] | None = Field(default=None, description="Of the corruption.")
    within: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="How far a space is searched, in its own unit; the worst point counts."
    )
    property: _Name | None = Field(
        default=None, description="Property of the picture by whose fifths the images are sliced: ink, thickness, ..."
    )
    column: _Name | None = Field(default=None, description="Column of the data by whose values they are sliced.")
    reaching: _Share | None = Field(default=None, description="Accuracy that a unit must reach to be counted.")
    slice: Annotated[int, Field(ge=1, le=5)] | Literal["each"] | None = Field(
        default=None, description="One fifth of a property, from least to most."
    )
    at_least: _Share | None = Field(default=None, description="The metric must be shown to be this high.")
    at_most: _Share | None = Field(default=None, description="The metric must be shown to be this low.")
    no_worse_than: Literal["baseline", "anchor"] | None = Field(
        default=None, description="Compare with the accepted runs, or with the first of their chain."
    )
    margin: _Share | Annotated[str, Field(max_length=60)] | None = Field(
        default=None,
        description='How much worse is still no worse: a number, a share of mistakes ("25 %") or "retraining".',
    )
    kind: Literal["primary", "guard"] | None = Field(
        default=None, description="A primary gate must be shown to hold; a guard stands unless it is refuted."
    )
    level: Literal["required", "warning"] = Field(default="required", description="What a gate that fails leads to.")
    decide: Literal["proven", "point", "not-disproven"] | None = Field(
        default=None,
        description="By the whole interval, by the bare value, or passed unless a miss is proven; default: proven.",
    )
    confidence: Annotated[float, Field(ge=0.5, lt=1.0, allow_inf_nan=False)] = Field(
        default=0.95, description="Of the one-sided bound that decides."
    )


class LimitsTable(_Closed):
    """The keys of ``[limits]``."""

    start_seconds: _Seconds = Field(default=Limits.start_seconds, description="To load the model.")
    answer_seconds: _Seconds = Field(default=Limits.answer_seconds, description="To answer one block of images.")
    run_seconds: Annotated[float, Field(gt=0, le=86400)] = Field(default=Limits.run_seconds, description="In all.")
    memory_mb: Annotated[int, Field(ge=1, le=1 << 20)] = Field(
        default=Limits.memory_mb, description="Address space of the process; TensorFlow alone takes 2.5 GB."
    )
    cpu_seconds: Annotated[int, Field(ge=1, le=864000)] = Field(
        default=Limits.cpu_seconds, description="Processor time."
    )


class PreprocessingTable(_Closed):
    """The keys of ``[preprocessing]``."""

    kind: _Name = Field(description="A [kind](../how-to/preprocessing.md), or a module with `normalize`.")
    mean: Annotated[float, Field(ge=-1000, le=1000)] | None = Field(
        default=None, description="Of pixels 0..1, taken off where the kind is standardised."
    )
    std: Annotated[float, Field(gt=1e-6, le=1000)] | None = Field(
        default=None, description="Of pixels 0..1, divided by where the kind is standardised."
    )


class CheckTable(_Closed):
    """The keys of a ``[[check]]``."""

    id: _Name = Field(description="Of a check, as in `run.json`.")
    level: Literal["warning"] = Field(description="It then only warns.")
    because: _Why = Field(description="Why that is enough.")


class WaiverTable(_Closed):
    """The keys of a ``[[waiver]]``."""

    finding: _Name = Field(description="Id of a gate's or check's finding, as in `run.json`.")
    until: date = Field(description="Last day, in UTC.")
    by: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")] = Field(description="Who waives it.")
    because: _Why = Field(description="Why the release can stand it.")


class FileTable(_Closed):
    """The keys of a policy file; each gate is read by itself, so that every mistake is named."""

    format: Literal[1] = Field(description="Number of this format.")
    name: _Name = Field(description="Name of the policy, as the report says it.")
    unit: _Name | None = Field(default=None, description="Sampling unit that the data must have, such as writer.")
    uses: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Candidates that a test set may decide; the error level is shared among them."
    )
    include: list[_Name] = Field(
        default_factory=list, description="Policies whose gates are taken in: beside this one, or shipped."
    )
    predict_for: Annotated[list[_Name], Field(max_length=100)] = Field(
        default_factory=list, description="Policies whose images are predicted too, so that a run can be a baseline."
    )
    limits: LimitsTable = Field(default_factory=LimitsTable, description="What a candidate's process may use.")
    preprocessing: PreprocessingTable | None = Field(default=None, description="What every candidate is fed with.")
    gate: list[dict[str, Any]] = Field(default_factory=list, description="The rules, one table each.")
    check: Annotated[list[dict[str, Any]], Field(max_length=200)] = Field(
        default_factory=list, description="Checks that only warn."
    )
    waiver: Annotated[list[dict[str, Any]], Field(max_length=200)] = Field(
        default_factory=list, description="Findings that are waived for a time."
    )


_INNER: dict[str | int, type[BaseModel]] = {"limits": LimitsTable, "preprocessing": PreprocessingTable}


def fitted(kind: type[Table], content: object, source: Source, mistakes: list[str], *place: str | int) -> Table | None:
    """Read ``content`` as a table of this kind; None, and a line per mistake, where it does not fit."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        by_place: dict[tuple[str | int, ...], list[str]] = {}
        meant = {_near(kind, key) for key in content} if isinstance(content, Mapping) else set()
        for problem in error.errors():
            if problem["type"] == "missing" and problem["loc"][-1] in meant:
                continue  # it is there, misspelt
            where = _key_of(place + problem["loc"])
            text, before = _problem(problem, where, kind), by_place.setdefault(where, [])
            before.append(text.partition(": ")[2] if before else text)
        mistakes += [f"{source.at(*where)}: {', or '.join(texts)}" for where, texts in by_place.items()]
        return None


def tables(
    kind: type[Table], contents: Sequence[object], source: Source, name: str, mistakes: list[str]
) -> Iterator[tuple[Table, Section, frozenset[str]]]:
    """Yield the tables of one name, each with its lines and the keys of the mistakes that were said of it.

    One with mistakes is no table to use, only one to look for more of them in.
    """
    sections = source.tables(name)
    if len(sections) != len(contents):
        mistakes.append(f"{source.at(name)}: write each {name} under a [[{name}]] header of its own")
        return
    for number, (content, section) in enumerate(zip(contents, sections, strict=True)):
        wrong = frozenset[str]()
        if (rule := fitted(kind, content, source, mistakes, name, number)) is None:
            rule, wrong = mended(kind, content)
        if rule is not None:
            yield rule, section, wrong


def suggest(name: str, known: Iterable[str]) -> str:
    """Name the way out of an unknown name."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"


_RIGHT: Mapping[str, Any] = {  # a value of each key that fits its type
    "format": 1,
    "name": "-",
    "id": "-",
    "finding": "-",
    "until": date.max,
    "by": "-",
    "because": "-",
    "class": 0,
    "corruption": "fog",
    "corruptions": ["fog@2", "shear@1"],
    "severity": 1,
    "within": 1,
    "property": "thickness",
    "column": "source",
    "reaching": 0.5,
    "slice": 1,
    "at_least": 0.5,
    "at_most": 0.5,
    "no_worse_than": "baseline",
    "margin": 0.5,
    "level": "warning",
}


def mended(kind: type[Table], content: object) -> tuple[Table | None, frozenset[str]]:
    """Read a table that does not fit with right values for its wrong keys, to look for what else is wrong with it.

    Returns the table, if it can be made, and the keys that were wrong. An unknown key stands for the one it nearly is.
    """
    if not isinstance(content, Mapping):
        return None, frozenset()
    known, near = _known(kind), {key: _near(kind, key) for key in content}
    given = {near[key]: value for key, value in content.items() if near[key]}
    wrong = {key for key in content if key not in known}
    try:
        return kind.model_validate(given), frozenset(wrong)
    except ValidationError as error:
        wrong |= {str(problem["loc"][0]) for problem in error.errors()}
    right = {key: _RIGHT[key] for key in wrong if key in _RIGHT and key in known}
    try:
        kept = {key: value for key, value in given.items() if key not in wrong}
        return kind.model_validate(kept | right), frozenset(wrong)
    except ValidationError:  # without a metric nothing more can be said
        return None, frozenset(wrong)


def _known(kind: type[BaseModel]) -> dict[str, str]:
    """Return the keys of a table, as a file writes them, with the names that they have here."""
    return {field.alias or name: name for name, field in kind.model_fields.items()}


def _near(kind: type[BaseModel], key: str) -> str:
    """Return the known key that one is, or is meant to be; empty where none is near."""
    own = {name: key for key, name in _known(kind).items()}
    return own.get(key) or next(iter(difflib.get_close_matches(key, _known(kind), 1)), "")


def _key_of(place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return where a key is given: without what lies inside its value."""
    return place[: 3 if place[0] in ARRAYS else 2 if place[0] in _INNER else 1]


def _problem(problem: Any, where: tuple[str | int, ...], kind: type[BaseModel]) -> str:
    key = str(where[-1])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {one_line(key, 60)!r}{suggest(key, _known(_INNER.get(where[0], kind)))}"
    if problem["type"] == "missing":
        return f"the key {key!r} is missing"
    if where[0] in ARRAYS and kind is FileTable:
        return f"{where[0]}: write each {where[0]} under a [[{where[0]}]] header of its own"
    if problem["type"] in ("string_too_short", "string_pattern_mismatch"):
        return f"{key}: is empty; {'say why' if key == 'because' else 'write what is meant'}"
    given = f"{key} = {one_line(repr(problem['input']), 60)}"
    if problem["type"] == "literal_error" and isinstance(problem["input"], str):
        close = difflib.get_close_matches(problem["input"], re.findall("'(.+?)'", problem["ctx"]["expected"]), 1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        return f"{given}: input should be {problem['ctx']['expected']}{meant}"
    return f"{given}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
