"""Measurements as text. What is displayed never crosses a threshold that stands anywhere in the run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from harness.metrics import METRICS
from harness.metrics.display import figure, interval, is_share
from harness.records import Measurement, Run, Scope

_WHOLE = Scope()
_FAMILY = {name: entry.worst_of for name, entry in METRICS.items() if entry.worst_of}


class Shown:
    """Finds measurements and writes them down."""

    def __init__(self, run: Run) -> None:
        self.answered = any(map(any, run.confusion))
        self.compared = bool(run.changes)
        self._measured = {(one.metric, one.scope): one for one in run.measurements}
        self._changed = {(one.metric, one.scope): one for one in run.changes}
        self._beside = {(one.metric, one.scope): one for one in run.diagnostics}
        self._edges: dict[str, set[float]] = defaultdict(set)
        for finding in run.findings:
            if finding.gate is not None and not finding.gate.against and math.isfinite(finding.gate.threshold):
                metric = finding.gate.metric
                self._edges[_FAMILY.get(metric, metric)].add(finding.gate.threshold)

    @cached_property
    def corruptions(self) -> frozenset[str]:
        """List the corruptions and spaces that have a panel."""
        placed = (one.scope for one in self.everything() if one.metric in {"accuracy", "worst_case_accuracy"})
        return frozenset(scope.corruption for scope in placed if scope.corruption)

    def change(self, metric: str, scope: Scope = _WHOLE) -> Measurement | None:
        """Find the change of a measurement against the baseline, or None."""
        return self._changed.get((metric, scope))

    def find(self, metric: str, scope: Scope = _WHOLE) -> Measurement | None:
        """Find a measurement, or None."""
        return self._measured.get((metric, scope))

    def beside(self, metric: str, scope: Scope = _WHOLE) -> Measurement | None:
        """Find a diagnostic, which decides nothing, or None."""
        return self._beside.get((metric, scope))

    def all(self, metric: str) -> list[Measurement]:
        """List the measurements of a metric."""
        return [one for (name, _), one in self._measured.items() if name == metric]

    def everything(self) -> list[Measurement]:
        """List all measurements."""
        return list(self._measured.values())

    def figure(self, metric: str, value: float) -> str:
        """Write a metric's value on the right side of 0, of 1 and of every threshold on this metric."""
        if not math.isfinite(value):
            return "not a number"
        ends = {0.0, 1.0} if is_share(metric) else set()
        return _longest(figure(metric, value, edge) for edge in (*sorted(ends | self._near(metric, value)), None))

    def value(self, measured: Measurement) -> str:
        """Write the value of a measurement."""
        return self.figure(measured.metric, measured.value)

    def bare(self, measured: Measurement) -> str:
        """Write a value without its unit, for a table whose head names it."""
        return self.value(measured).removesuffix(" %")

    def interval(self, measured: Measurement) -> str:
        """Write an interval, ``97.00 to 97.63 %``."""
        if measured.against:
            return interval(measured)
        return self.between(measured.metric, measured.low, measured.high)

    def between(self, metric: str, low: float, high: float) -> str:
        """Write two values of a metric with one unit."""
        return f"{self.figure(metric, low).removesuffix(' %')} to {self.figure(metric, high)}"

    def _near(self, metric: str, value: float) -> set[float]:
        edges = self._edges[_FAMILY.get(metric, metric)]
        return {edge for edge in edges if abs(edge - value) < 0.01}


def _longest(texts: Iterable[str]) -> str:
    return max(texts, key=len)
