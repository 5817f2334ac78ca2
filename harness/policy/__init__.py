"""suites/*.toml -> gates. Every mistake is one line with file and line number."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from harness import metrics
from harness.candidate.parent.limits import Limits
from harness.candidate.parent.preprocessing import KINDS, Preprocessing, named
from harness.corruptions import SPACES, trial_at, trial_named
from harness.errors import UsageError
from harness.formatting import legible, one_line
from harness.metrics.display import title_of
from harness.policy import exceptions, includes
from harness.policy.includes import File
from harness.policy.rules import beyond_reach, problems, scopes
from harness.policy.source import Source, find
from harness.policy.table import FileTable, GateTable, tables
from harness.records import (
    CLEAN,
    LIGHT,
    MNIST_DEVIATION,
    MNIST_MEAN,
    TRIGGER,
    Against,
    AttackAt,
    DataFacts,
    Decide,
    Gate,
    Lowering,
    PolicyFacts,
    Rule,
    SpacePoint,
    Trial,
    Waiver,
)

MOST_GATES = 2000
POLICIES = {"embedded": "embedded"}  # shipped for data of an origin; every other origin is full MNIST


@dataclass(frozen=True)
class Policy:
    """The gates of a policy file and of the files it includes."""

    facts: PolicyFacts
    path: Path
    gates: tuple[Gate, ...]
    limits: Limits
    predicted: tuple[Gate, ...] = ()  # of other policies, whose trials are predicted too
    unit: str = ""  # what the test images must be known by; empty where the policy does not ask
    unit_at: str = ""  # file and line that ask
    uses: int = 0  # candidates that a test set may decide; 0 where the policy does not count them
    uses_at: str = ""  # file and line that say so
    preprocessing: Preprocessing | None = None  # what the candidate is fed with, where the policy says it
    where_preprocessing: str = ""
    lowered: Mapping[str, Lowering] = field(default_factory=dict)  # by check id
    waivers: Mapping[str, Waiver] = field(default_factory=dict)  # by finding id

    def trials(self) -> tuple[Trial, ...]:
        """List what is predicted: the images as they are, light changes of them, what the gates ask for; each once."""
        wanted = dict.fromkeys((CLEAN, *LIGHT))
        for gate in self.gates:
            wanted.update(dict.fromkeys(trials_of(gate)))
        for gate in self.predicted:  # a search for triggers is never compared with
            wanted.update(dict.fromkeys(trial for trial in trials_of(gate) if trial != TRIGGER))
        return tuple(wanted)


def load(path: Path) -> Policy:
    """Read a policy, a file or a shipped one by name. UsageError with a line ``file:line: ...`` per mistake."""
    path, mistakes = find(path), list[str]()
    files = includes.from_disk(path, legible(path), mistakes)
    predicted: list[Gate] = []
    for source, table, _ in files:
        for name in table.predict_for:
            asked = f"{source.at('predict_for')}: {one_line(name, 120)}"
            others = includes.from_disk(includes.beside_or_shipped(source.path, name), asked, mistakes)
            predicted += _all_gates(others, mistakes)
    return replace(_policy(path, files, mistakes), predicted=tuple(predicted))


def parse(facts: PolicyFacts) -> Policy:
    """Read the policy of a run again from its record, without its files and without code that it names.

    NotRecorded where it names code of the user's, or is of format 1 and includes files; UsageError where the record
    does not agree with itself. Policies of ``predict_for`` are left out.
    """
    mistakes = list[str]()
    files = includes.from_record(facts, mistakes)
    rules = _policy(Path(facts.file), files, mistakes)
    if replace(rules.facts, file=facts.file) != facts:
        raise UsageError("its policy is not that of its files")
    return rules


def _policy(path: Path, files: Sequence[File], mistakes: list[str]) -> Policy:
    """Make the policy of its files. UsageError where there are mistakes."""
    gates = _all_gates(files, mistakes)
    mistakes += _duplicates(gates)
    fed, where_fed = _preprocessing(files, mistakes)
    lowered = exceptions.lowered(files, mistakes)
    waivers = exceptions.waivers(files, gates, lowered, mistakes)
    if not gates and not mistakes:
        mistakes.append(f"{legible(path)}:1: holds no [[gate]]; a policy that asks nothing cannot allow anything")
    if len(gates) > MOST_GATES:
        mistakes.append(f"{legible(path)}:1: holds {len(gates):,} gates; at most {MOST_GATES:,} can be judged together")
    if mistakes:
        raise UsageError("\n".join(mistakes))
    first = files[0][1]
    facts = PolicyFacts(first.name, one_line(path.name, 120), includes.sha256_of(files), includes.record_of(files))
    unit, unit_at = next(((table.unit, source.at("unit")) for source, table, _ in files if table.unit), ("", ""))
    uses, uses_at = next(((table.uses, source.at("uses")) for source, table, _ in files if table.uses), (0, ""))
    return Policy(
        facts,
        path,
        tuple(_shared(gate, uses) for gate in gates),
        Limits(**first.limits.model_dump()),
        unit=unit,
        unit_at=unit_at,
        uses=uses,
        uses_at=uses_at,
        preprocessing=fed,
        where_preprocessing=where_fed,
        lowered=lowered,
        waivers=waivers,
    )


def _shared(gate: Gate, uses: int) -> Gate:
    """Divide the error level of a required gate among the candidates that the test set may decide (Bonferroni)."""
    return replace(gate, confidence=1 - (1 - gate.confidence) / uses) if uses and gate.level == "required" else gate


def check_waivers(policy: Policy, today: date | None) -> None:
    """Raise UsageError where a waiver has ended by ``today``."""
    if mistakes := list(exceptions.expired(policy.waivers, today)):
        raise UsageError("\n".join(mistakes))


def _preprocessing(files: Sequence[File], mistakes: list[str]) -> tuple[Preprocessing | None, str]:
    """Return what the policy says that the candidate is fed with, and where it says so."""
    if not files or (table := files[0][1].preprocessing) is None:
        return None, ""
    source, figures = files[0][0], (table.mean, table.std)
    place = source.at("preprocessing", "kind")
    if table.kind != "standardised" and figures != (None, None):
        mistakes.append(f"{place}: mean and std are of kind = 'standardised' only; drop them")
    elif table.kind == "standardised" and None in figures:
        usual = f"{MNIST_MEAN} and {MNIST_DEVIATION}"
        mistakes.append(f"{place}: the mean and std of pixels 0..1 are missing; MNIST's are {usual}")
    elif table.kind not in KINDS and not re.fullmatch(r"(\./)?[\w./]+", table.kind):
        mistakes.append(
            f"{place}: kind = {one_line(table.kind, 60)!r} is neither a module nor one of {', '.join(KINDS)}"
        )
    return named(table.kind, *figures), place


def check_against(policy: Policy, data: DataFacts) -> None:
    """Refuse data of another sampling unit, and a gate that even a perfect score on this data could not pass, before
    any model is loaded.
    """
    if policy.unit and data.unit != policy.unit:
        known = f"are known by {data.unit}" if data.unit else "name no sampling unit"
        raise UsageError(
            f"{policy.unit_at}: the policy asks for images of each {policy.unit}, and these {known}; run the model "
            f"on data with these units (--columns FILE.csv --unit {policy.unit}), or judge by another policy"
        )
    found = [(gate, beyond_reach(gate, data)) for gate in policy.gates]
    if mistakes := [f"{gate.file}:{gate.line}: {why}" for gate, why in found if why]:
        if fitting := POLICIES.get(data.origin):
            name = one_line(data.name, 80)
            mistakes.append(f"the shipped policy for {name} is {fitting}: --policy {fitting}")
        raise UsageError("\n".join(mistakes))


def _all_gates(files: Sequence[File], mistakes: list[str]) -> list[Gate]:
    return [gate for source, table, _ in files for gate in _gates(source, table, mistakes)]


def _gates(source: Source, table: FileTable, mistakes: list[str]) -> Iterator[Gate]:
    for rule, section, wrong in tables(GateTable, table.gate, source, "gate", mistakes):
        found = [(key, problem) for key, problem in problems(rule) if key not in wrong]
        mistakes += [f"{source.line(section.line_of(key))}: {problem}" for key, problem in found]
        if not wrong and not found:
            yield from _ruled(rule, source.name, section.line)


def _ruled(table: GateTable, file: str, line: int) -> Iterator[Gate]:
    rule, threshold = _rule(table)
    decide: Decide = table.decide or ("not-disproven" if table.kind == "guard" else "proven")
    margin = table.margin if isinstance(table.margin, str) else ""
    against: Against = table.no_worse_than or ""
    for scope in scopes(table):
        gate = Gate("", table.metric, rule, threshold, table.because, scope, table.level, decide, against=against)
        gate = replace(gate, kind=table.kind or "", margin=margin, confidence=table.confidence, file=file, line=line)
        gate = replace(gate, meaning=metrics.own_meaning(table.metric))
        yield replace(gate, id=_identity(gate))


def _rule(table: GateTable) -> tuple[Rule, float]:
    """Return the rule and the threshold; against the baseline the threshold is of the difference.

    It is 0 where the margin follows from the accepted runs, until these are there.
    """
    if table.margin is not None:
        rule = metrics.find(table.metric).rule
        margin = 0.0 if isinstance(table.margin, str) else table.margin
        return rule, -margin if rule == "at_least" else margin
    if table.at_least is not None:
        return "at_least", float(table.at_least)
    assert table.at_most is not None
    return "at_most", float(table.at_most)


def _identity(gate: Gate) -> str:
    scope = gate.scope
    parts = [gate.metric, scope.digit, scope.corruption, scope.severity, scope.within, scope.property, scope.slice]
    parts += [scope.column, None if scope.reaching is None else f"{scope.reaching:g}"]
    kind = "" if gate.level == "required" else "warning"
    return "-".join(str(part) for part in [*parts, gate.against, kind] if part is not None and part != "")


def _duplicates(gates: list[Gate]) -> Iterator[str]:
    first: dict[str, Gate] = {}
    for gate in gates:
        before = first.setdefault(gate.id, gate)
        if before is not gate:
            yield (
                f"{gate.file}:{gate.line}: {title_of(gate)} is already ruled at "
                f"{before.file}:{before.line}; keep one of the two"
            )


def trials_of(gate: Gate) -> Iterator[Trial]:
    """Yield the trials that a gate judges, without the images as they are."""
    of, scope = metrics.find(gate.metric).of, gate.scope
    yield from map(trial_named, scope.corruptions)
    if of == "trigger":
        yield TRIGGER
    if of == "family" and not scope.corruptions:
        yield from metrics.at_every_severity(metrics.MNIST_C)
    if scope.corruption is None:
        return
    if of == "corruption":
        yield from metrics.at_every_severity([scope.corruption])
    if of == "attack" and scope.severity is not None:
        yield AttackAt("fgsm", scope.severity)
    if scope.severity is not None:
        yield trial_at(scope.corruption, scope.severity)
    if scope.within is not None:
        for point in SPACES[scope.corruption].points(scope.within):
            yield SpacePoint(scope.corruption, point)
