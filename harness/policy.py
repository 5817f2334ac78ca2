"""suites/*.toml -> gates. Every mistake is one line with file and line number."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness import intervals, metrics
from harness.corruptions import SPACES, Space, find
from harness.records import CLASSES, CLEAN, DataFacts, Gate, PolicyFacts, Rule, Scope, Trial, Unusable
from harness.subject import Limits
from harness.words import one_line, percent, title

MOST_BYTES = 1 << 20
MOST_GATES = 2000
REFUSED = ("auc", "roc_auc", "roc", "one_vs_rest_auc")

Share = Annotated[float, Field(allow_inf_nan=False)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class _GateTable(_Closed):
    metric: _Name
    because: Annotated[str, Field(min_length=1, max_length=2000)]
    digit: Annotated[int, Field(ge=0, lt=CLASSES)] | Literal["each"] | None = Field(default=None, alias="class")
    corruption: _Name | None = None
    severity: Annotated[int, Field(ge=1, le=5)] | None = None
    within: Annotated[int, Field(ge=1)] | None = None
    at_least: Share | None = None
    at_most: Share | None = None
    level: Literal["required", "warning"] = "required"
    decide: Literal["proven", "point", "not-disproven"] = "proven"
    confidence: Annotated[float, Field(ge=0.5, lt=1.0, allow_inf_nan=False)] = 0.95


class _LimitsTable(_Closed):
    start_seconds: Annotated[float, Field(gt=0, le=3600)] = Limits.start_seconds
    answer_seconds: Annotated[float, Field(gt=0, le=3600)] = Limits.answer_seconds


class _File(_Closed):
    format: Literal[1]
    name: _Name
    include: list[_Name] = Field(default_factory=list)
    limits: _LimitsTable = Field(default_factory=_LimitsTable)
    gate: list[_GateTable] = Field(default_factory=list)


@dataclass(frozen=True)
class Policy:
    """The gates of a policy file and of the files it includes."""

    facts: PolicyFacts
    path: Path
    gates: tuple[Gate, ...]
    limits: Limits

    def trials(self) -> tuple[Trial, ...]:
        """What must be predicted so that every gate can be judged: clean first, then each trial once, in order."""
        wanted: dict[Trial, None] = {CLEAN: None}
        for gate in self.gates:
            wanted.update(dict.fromkeys(_trials(gate.scope)))
        return tuple(wanted)


def load(path: Path) -> Policy:
    """Read a policy. Unusable with one line per mistake: ``file:line: what is wrong, and the way out``."""
    sources: list[tuple[Path, str, _File]] = []
    _read(path, sources, ())
    mistakes: list[str] = []
    gates: list[Gate] = []
    for file, text, content in sources:
        lines = _gate_lines(text)
        for table, block in zip(content.gate, lines, strict=True):
            problems = list(_problems(table))
            mistakes += [f"{_shown(file)}:{_line_of(block, key)}: {problem}" for key, problem in problems]
            if not problems:
                gates += _gates(table, file.name, block[0])
    mistakes += _duplicates(gates)
    if not gates and not mistakes:
        mistakes = [f"{_shown(path)}:1: holds no [[gate]]; a policy that asks nothing cannot allow anything"]
    if len(gates) > MOST_GATES:
        mistakes = [f"{_shown(path)}:1: holds {len(gates)} gates; at most {MOST_GATES} can be judged together"]
    if mistakes:
        raise Unusable("\n".join(mistakes))
    whole = "\n".join(text for _, text, _ in sources)
    facts = PolicyFacts(sources[0][2].name, path.name, sha256(whole.encode()).hexdigest(), whole)
    limits = sources[0][2].limits
    return Policy(facts, path, tuple(gates), Limits(limits.start_seconds, limits.answer_seconds))


def check_against(policy: Policy, data: DataFacts) -> None:
    """Refuse a gate that even a perfect score on this data could not pass, before any model is loaded."""
    mistakes = []
    for gate in policy.gates:
        metric = metrics.METRICS[gate.metric]
        if not metric.binomial or gate.decide != "proven":
            continue
        n = data.n if gate.scope.digit is None else data.counts[gate.scope.digit]
        best = intervals.exact(n, n, gate.confidence)[0] if gate.rule == "at_least" else None
        if best is not None and best < gate.threshold:
            needed = intervals.smallest_n_for_perfect(gate.threshold, gate.confidence)
            mistakes.append(
                f"{gate.file}:{gate.line}: {title(gate.metric, gate.scope)} at least {percent(gate.threshold, best)} "
                f"cannot be shown with {n} images: a perfect score proves {percent(best, gate.threshold)}; "
                f"it takes {needed:,} images or a lower threshold"
            )
    if mistakes:
        raise Unusable("\n".join(mistakes))


def _read(path: Path, sources: list[tuple[Path, str, _File]], trail: tuple[Path, ...]) -> None:
    where = path.resolve()
    if where in trail:
        raise Unusable(f"{_shown(path)}:1: includes itself; remove the include")
    if any(where == file.resolve() for file, _, _ in sources):
        return
    try:
        if not path.is_file():
            raise Unusable(f"{_shown(path)} is not a file; give the path of a policy, for example suites/release.toml")
        raw = path.read_bytes()[: MOST_BYTES + 1]
        if len(raw) > MOST_BYTES:
            raise Unusable(f"{_shown(path)} is over {MOST_BYTES:,} bytes; a policy is a short text")
        text = raw.decode()
        content = _File.model_validate(tomllib.loads(text))
    except OSError as error:
        raise Unusable(f"{_shown(path)} cannot be read: {error.strerror}; check its permissions") from error
    except UnicodeDecodeError as error:
        raise Unusable(f"{_shown(path)}:1: is not UTF-8 text; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        where_in = line[1] if line else "1"
        raise Unusable(f"{_shown(path)}:{where_in}: is not TOML: {one_line(str(error), 120)}") from error
    except (RecursionError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise Unusable("\n".join(_explained(path, text, error))) from error
        raise Unusable(f"{_shown(path)}:1: is nested too deeply or holds a number too long to read") from error
    sources.append((path, text, content))
    for name in content.include:
        _read(path.parent / name, sources, (*trail, where))


def _explained(path: Path, text: str, error: ValidationError) -> Iterator[str]:
    blocks = _gate_lines(text)
    for problem in error.errors():
        place = problem["loc"]
        key = str(place[2]) if len(place) > 2 else str(place[0]) if place else ""
        if len(place) > 1 and place[0] == "gate" and isinstance(place[1], int) and place[1] < len(blocks):
            line = _line_of(blocks[place[1]], key)
            known = [field.alias or name for name, field in _GateTable.model_fields.items()]
        else:
            line = _line_of((0, text.splitlines()), key)
            known = list(_LimitsTable.model_fields if place and place[0] == "limits" else _File.model_fields)
        yield f"{_shown(path)}:{max(line, 1)}: {_problem(problem, key, known)}"


def _problem(problem: Any, key: str, known: list[str]) -> str:
    given = one_line(repr(problem.get("input")), 60)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {one_line(key, 60)!r}{_suggest(key, known)}"
    if problem["type"] == "missing":
        return f"the key {key!r} is missing"
    return f"{key} = {given}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _problems(table: _GateTable) -> Iterator[tuple[str, str]]:
    """What pydantic cannot see: names that must be known, keys that must fit together."""
    if table.metric in REFUSED:
        yield (
            "metric",
            f"{table.metric!r} is defined for two classes and does not decide a ten-class verdict; "
            "use accuracy, recall, precision or f1 per class, or largest_confusion",
        )
        return
    metric = metrics.METRICS.get(table.metric)
    if metric is None:
        yield "metric", f"unknown metric {one_line(table.metric, 60)!r}{_suggest(table.metric, metrics.METRICS)}"
        return
    yield from _threshold_problems(table, metric)
    yield from _corruption_problems(table, metric)


def _threshold_problems(table: _GateTable, metric: metrics.Metric) -> Iterator[tuple[str, str]]:
    given = [(key, value) for key in ("at_least", "at_most") if (value := getattr(table, key)) is not None]
    if len(given) != 1:
        yield "metric", "give exactly one of at_least and at_most"
        return
    (key, value), (low, high) = given[0], metric.legal
    if not (math.isfinite(value) and low < value < high):
        hint = " (shares are 0..1, not percent)" if high == 1 and value > 1 else ""
        yield key, f"{key} = {value:g} is out of range; {table.metric} lies between {low:g} and {high:g}{hint}"
    if key != metric.rule:
        yield (
            key,
            f"{table.metric} is better when {'larger' if metric.rule == 'at_least' else 'smaller'}; use {metric.rule}",
        )


def _corruption_problems(table: _GateTable, metric: metrics.Metric) -> Iterator[tuple[str, str]]:
    digit = 0 if table.digit == "each" else table.digit
    misfit = metric.misfit(Scope(digit, table.corruption, table.severity, table.within))
    if misfit is not None:
        yield "metric", misfit + ('; add class = 0..9 or class = "each"' if metric.each_digit and digit is None else "")
        return
    if table.corruption is None:
        return
    try:
        found = find(table.corruption)
    except Unusable as error:
        yield "corruption", str(error)
        return
    if isinstance(found, Space) != metric.space_only:
        fits = "a finite space: " + ", ".join(SPACES) if metric.space_only else "a corruption with severities"
        yield "corruption", f"{table.metric} needs {fits}; {table.corruption!r} is not"
    elif isinstance(found, Space) and table.within is not None and table.within > found.largest:
        yield "within", f"within = {table.within} is out of range; {table.corruption} goes up to {found.largest}"


def _gates(table: _GateTable, file: str, line: int) -> Iterator[Gate]:
    rule: Rule = "at_least" if table.at_least is not None else "at_most"
    threshold = table.at_least if table.at_least is not None else table.at_most
    assert threshold is not None
    digits: Iterable[int | None] = range(CLASSES) if table.digit == "each" else [table.digit]
    for digit in digits:
        scope = Scope(digit, table.corruption, table.severity, table.within)
        gate = Gate("", table.metric, rule, float(threshold), table.because, scope, table.level, table.decide)
        yield replace(gate, id=_identity(gate), confidence=table.confidence, file=file, line=line)


def _identity(gate: Gate) -> str:
    scope = gate.scope
    parts = [gate.metric, scope.digit, scope.corruption, scope.severity, scope.within]
    kind = "" if gate.level == "required" else "warning"
    return "-".join(str(part) for part in [*parts, kind] if part is not None and part != "")


def _duplicates(gates: list[Gate]) -> list[str]:
    counts = Counter(gate.id for gate in gates)
    seen: dict[str, Gate] = {}
    mistakes = []
    for gate in gates:
        if counts[gate.id] > 1 and gate.id in seen:
            first = seen[gate.id]
            mistakes.append(
                f"{gate.file}:{gate.line}: {title(gate.metric, gate.scope)} is already ruled at "
                f"{first.file}:{first.line}; keep one of the two"
            )
        seen.setdefault(gate.id, gate)
    return mistakes


def _trials(scope: Scope) -> Iterator[Trial]:
    if scope.corruption is None:
        return
    if scope.severity is not None:
        yield Trial(scope.corruption, (scope.severity,))
    if scope.within is not None:
        for point in SPACES[scope.corruption].points(scope.within):
            yield Trial(scope.corruption, point)


def _gate_lines(text: str) -> list[tuple[int, list[str]]]:
    """``(line number, lines)`` of each [[gate]] table, found outside multi-line strings."""
    blocks: list[tuple[int, list[str]]] = []
    quote = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not quote and re.match(r"\s*\[\[\s*(gate|\"gate\"|'gate')\s*\]\]", line):
            blocks.append((number, []))
        elif blocks:
            blocks[-1][1].append(line)
        for mark in re.findall(r'"""|\'\'\'', line):
            quote = "" if quote == mark else quote or mark
    return blocks


def _line_of(block: tuple[int, list[str]], key: str) -> int:
    for offset, line in enumerate(block[1], 1):
        if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return block[0] + offset
    return block[0]


def _suggest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"


def _shown(path: Path) -> str:
    return one_line(str(path), 200)
