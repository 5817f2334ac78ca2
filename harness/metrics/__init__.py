"""(labels, answers, probabilities) -> Measurement. To add a metric, add one function under ``@metric`` in a family.

A metric is a function of the evidence and a scope that returns an Estimate, or raises NotMeasurable with a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import NotMeasurable
from harness.image_properties import PROPERTIES
from harness.metrics import calibration, classification, robustness, slices  # noqa: F401 - they enter their metrics
from harness.metrics.counting import MNIST_C, at_every_severity, confusion_matrix
from harness.metrics.registry import METRICS, Metric
from harness.metrics.robustness import REFERENCE
from harness.records import CLASSES, AttackAt, Evidence, Measurement, Rule, Scope, Severity, SpacePoint
from harness.statistics.estimates import Bounds, Estimate, WorstOf

__all__ = [
    "METRICS",
    "MNIST_C",
    "REFERENCE",
    "Metric",
    "at_every_severity",
    "confusion_matrix",
    "estimate",
    "measure",
    "p_value",
    "show",
    "table",
]


def measure(evidence: Evidence, metric: str, scope: Scope, confidence: float) -> Measurement:
    """The value with its deciding bounds, each one-sided at ``confidence``; raises NotMeasurable."""
    found = estimate(evidence, metric, scope)
    return _measurement(found, metric, scope, *found.bounds(confidence))


def show(evidence: Evidence, metric: str, scope: Scope) -> Measurement:
    """The value with a two-sided 95 % interval, for tables and pictures; raises NotMeasurable."""
    found = estimate(evidence, metric, scope)
    return _measurement(found, metric, scope, *found.display())


def _measurement(found: Estimate, metric: str, scope: Scope, bounds: Bounds, how: str) -> Measurement:
    part = found.part if isinstance(found, WorstOf) else ""
    return Measurement(metric, found.value, *bounds, found.n, scope, found.hits, how, part)


def p_value(evidence: Evidence, measurement: Measurement, rule: Rule, threshold: float) -> float:
    """How likely a result this bad would be if the threshold were met; to be adjusted over all gates (Holm)."""
    return estimate(evidence, measurement.metric, measurement.scope).p_value(rule, threshold)


def table(evidence: Evidence) -> tuple[Measurement, ...]:
    """Every measurement the report shows; what cannot be measured is left out, never 0."""
    shown = []
    for metric, scope in _rows(evidence):
        try:
            shown.append(show(evidence, metric, scope))
        except NotMeasurable:
            continue
    return tuple(shown)


def estimate(evidence: Evidence, name: str, scope: Scope) -> Estimate:
    """A metric's estimate, from which value, bounds and p-value follow; raises NotMeasurable."""
    misfit = METRICS[name].misfit(scope)
    if misfit:
        raise ValueError(misfit)
    return METRICS[name].estimate(evidence, scope)


def _rows(evidence: Evidence) -> Iterator[tuple[str, Scope]]:
    """What the table shows: every metric on clean images, accuracy under every corruption, every radius of a space."""
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
        if entry.of == "slices":
            scopes = [Scope(property=name) for name in PROPERTIES]
        if entry.of == "corruption":
            scopes = [Scope(corruption=name) for name in levels]
        yield from ((entry.name, scope) for scope in scopes)
    for name, of in levels.items():
        yield from (("accuracy", Scope(corruption=name, severity=level)) for level in of)
