"""A run as OpenMetrics: its verdict and its main numbers as gauges."""

from __future__ import annotations

from collections.abc import Iterator

from harness.formatting import one_line
from harness.records import CLASSES, Measurement, Run, Scope

_CODES = str.maketrans({"\\": "\\\\", '"': '\\"'})  # line ends, the third that labels escape, are gone before


def render(run: Run) -> str:
    """Write the verdict, the counts and the main measurements in the text form of OpenMetrics."""
    return "\n".join([*_lines(run), "# EOF", ""])


def _lines(run: Run) -> Iterator[str]:
    yield "# TYPE harness_released gauge"
    yield f"harness_released {int(run.verdict.exit_code == 0)}"
    yield "# TYPE harness_findings gauge"
    for status, amount in sorted(run.verdict.counts.items()):
        yield _sample("harness_findings", amount, status=status)
    measured = {(measurement.metric, measurement.scope): measurement for measurement in run.measurements}
    if accuracy := measured.get(("accuracy", Scope())):
        yield "# TYPE harness_accuracy gauge"
        yield from _bounds("harness_accuracy", accuracy)
    yield "# TYPE harness_recall gauge"
    for digit in range(CLASSES):
        if measurement := measured.get(("recall", Scope(digit=digit))):
            yield _sample("harness_recall", measurement.value, digit=str(digit))
    yield "# TYPE harness_corrupted_accuracy gauge"
    for (metric, scope), measurement in measured.items():
        if metric == "accuracy" and scope.corruption is not None and scope.severity is not None:
            of = {"corruption": scope.corruption, "severity": str(scope.severity)}
            yield _sample("harness_corrupted_accuracy", measurement.value, **of)


def _bounds(name: str, one: Measurement) -> Iterator[str]:
    for bound in ("value", "low", "high"):
        yield _sample(name, getattr(one, bound), bound=bound)


def _sample(name: str, value: float, **labels: str) -> str:
    given = ",".join(f'{label}="{one_line(text).translate(_CODES)}"' for label, text in labels.items())
    return f"{name}{{{given}}} {value!r}"
