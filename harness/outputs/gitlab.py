"""GitLab: numbers for a merge request as OpenMetrics, and the link to the report."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.formatting import one_line
from harness.records import CLASSES, Measurement, Run, Scope


def metrics(run: Run) -> str:
    """Write the verdict, the counts and the main measurements in the text form of OpenMetrics."""
    return "\n".join([*_lines(run), "# EOF", ""])


def links(report: Path, environ: Mapping[str, str]) -> str:
    """Write the annotations file: a link from the job to its report; empty where the job has no address."""
    address = environ.get("CI_JOB_URL", "")
    root = Path(environ.get("CI_PROJECT_DIR") or ".").resolve()
    if not address or not report.resolve().is_relative_to(root):
        return json.dumps({})
    url = f"{address}/artifacts/file/{report.resolve().relative_to(root).as_posix()}"
    return json.dumps({"Model report": [{"external_link": {"label": "Model report", "url": one_line(url, 2000)}}]})


def _lines(run: Run) -> Iterator[str]:
    yield "# TYPE harness_released gauge"
    yield f"harness_released {int(run.verdict.exit_code == 0)}"
    yield "# TYPE harness_findings gauge"
    for status, amount in sorted(run.verdict.counts.items()):
        yield f'harness_findings{{status="{status}"}} {amount}'
    measured = {(one.metric, one.scope): one for one in run.measurements}
    if accuracy := measured.get(("accuracy", Scope())):
        yield "# TYPE harness_accuracy gauge"
        yield from _bounds("harness_accuracy", accuracy)
    recalls = [(digit, measured.get(("recall", Scope(digit=digit)))) for digit in range(CLASSES)]
    yield "# TYPE harness_recall gauge"
    for digit, one in recalls:
        if one is not None:
            yield f'harness_recall{{digit="{digit}"}} {one.value!r}'
    yield "# TYPE harness_corrupted_accuracy gauge"
    for (metric, scope), one in measured.items():
        if metric == "accuracy" and scope.corruption is not None and scope.severity is not None:
            name = re.sub(r"\W", "_", scope.corruption)
            yield f'harness_corrupted_accuracy{{corruption="{name}",severity="{scope.severity}"}} {one.value!r}'


def _bounds(name: str, one: Measurement) -> Iterator[str]:
    for bound in ("value", "low", "high"):
        yield f'{name}{{bound="{bound}"}} {getattr(one, bound)!r}'
