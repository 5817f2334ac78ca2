"""Evidence -> Measurement. To add a metric, add one function under ``@metric`` in a family.

A metric is a function of the evidence and a scope that returns an Estimate, or raises NotMeasurable with a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from harness.errors import NotMeasurable
from harness.image_properties import PROPERTIES
from harness.metrics import calibration, changes, classification, robustness, slices, triggers  # noqa: F401 - they enter their metrics
from harness.metrics.counting import MNIST_C, at_every_severity, confusion_matrix
from harness.metrics.evaluation import Evaluation, estimate, evaluate
from harness.metrics.own import find, own_meaning
from harness.metrics.registry import METRICS, Metric, measurement
from harness.metrics.robustness import REFERENCE
from harness.records import CLASSES, Against, AttackAt, Evidence, Measurement, Scope, Severity, SpacePoint

REACHING = 0.9  # accuracy of a unit that tables count

__all__ = [
    "METRICS",
    "MNIST_C",
    "REFERENCE",
    "Evaluation",
    "Metric",
    "at_every_severity",
    "change_table",
    "confusion_matrix",
    "estimate",
    "evaluate",
    "find",
    "measure",
    "own_meaning",
    "show",
    "table",
]


def measure(evidence: Evidence, metric: str, scope: Scope, confidence: float) -> Measurement:
    """Return the value with its deciding bounds, each one-sided at ``confidence``; raises NotMeasurable."""
    found = estimate(evidence, metric, scope)
    return measurement(found, metric, scope, found.bounds(confidence))


def show(evidence: Evidence, metric: str, scope: Scope) -> Measurement:
    """Return the value with a two-sided 95 % interval, for tables and pictures; raises NotMeasurable."""
    found = estimate(evidence, metric, scope)
    return measurement(found, metric, scope, found.display())


def table(evaluation: Evaluation) -> tuple[Measurement, ...]:
    """Return every measurement that the report shows; what cannot be measured is left out, never 0."""
    return _shown(evaluation, [*_rows(evaluation.evidence), *_own(evaluation, "")])


def change_table(evaluation: Evaluation) -> tuple[Measurement, ...]:
    """Return every difference that the report shows; none without a baseline that can be compared."""
    return _shown(evaluation, [*changes.rows(evaluation.evidence), *_own(evaluation, "baseline")], "baseline")


def _own(evaluation: Evaluation, against: Against) -> Iterator[tuple[str, Scope]]:
    """List the user's own metrics that gates ask for, each once."""
    asked = {gate.metric: gate.scope for gate in evaluation.gates if gate.against == against}
    yield from ((name, scope) for name, scope in asked.items() if name not in METRICS)


def _shown(evaluation: Evaluation, rows: Iterable[tuple[str, Scope]], against: Against = "") -> tuple[Measurement, ...]:
    shown = []
    for metric, scope in rows:
        with suppress(NotMeasurable):
            found = evaluation.estimate(metric, scope, against)
            shown.append(measurement(found, metric, scope, found.display(), against))
    return tuple(shown)


def _rows(evidence: Evidence) -> Iterator[tuple[str, Scope]]:
    """List what the table shows: every metric on clean images, every corruption, every radius of a space."""
    levels: dict[str, list[int]] = {}
    spaces: dict[str, int] = {}
    for trial in sorted(evidence.answers):
        if isinstance(trial, SpacePoint):
            spaces[trial.name] = max(spaces.get(trial.name, 0), trial.radius)
        elif isinstance(trial, Severity | AttackAt):
            levels.setdefault(trial.name, []).append(trial.level)
    radii = [Scope(corruption=name, within=within) for name, most in spaces.items() for within in range(1, most + 1)]
    for entry in METRICS.values():
        scopes = [Scope(digit=digit) for digit in range(CLASSES)] if entry.each_digit else [Scope()]
        if entry.of == "space":
            scopes = radii
        if entry.of == "attack":
            both = set(levels.get("fgsm", ())) & set(levels.get("pgd_linf", ()))
            scopes = [Scope(corruption="pgd_linf", severity=level) for level in sorted(both)]
        if entry.of == "slice":
            continue  # the report's table of slices shows each
        if entry.of == "slices":
            scopes = [Scope(property=name) for name in PROPERTIES]
            scopes += [Scope(column=name) for name in (evidence.groups.columns if evidence.groups else ())]
        if entry.of == "units":
            scopes = [Scope(reaching=REACHING)] if evidence.codes is not None else []
        if entry.of == "corruption":
            scopes = [Scope(corruption=name) for name in levels]
        yield from ((entry.name, scope) for scope in scopes)
    for entry in METRICS.values():
        for name in levels if entry.each_trial else ():
            yield from ((entry.name, Scope(corruption=name, severity=level)) for level in levels[name])
