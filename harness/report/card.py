"""A run as the model card of Hugging Face: front matter with the results, then the Markdown of the run."""

from __future__ import annotations

import json
from typing import Any

from harness.formatting import one_line
from harness.metrics.display import interval, title
from harness.records import Run, Scope
from harness.report import markdown

METRICS = (
    "accuracy", "macro_f1", "worst_class_recall", "log_loss", "expected_calibration_error", "mean_corruption_accuracy"
)  # fmt: skip


def render(run: Run) -> str:
    """Write the front matter as JSON, which is YAML, then verdict, what did not pass and the main numbers."""
    measured = {one.metric: one for one in run.measurements if one.scope == Scope()}
    # the interval stands in the name, since a result has no field for it
    metrics = [
        {"type": name, "value": one.value, "name": f"{title(name, one.scope)} (95 % interval {interval(one)})"}
        for name in METRICS
        if (one := measured.get(name)) is not None
    ]
    data, name = one_line(run.data.name, 120), one_line(run.model.name, 120)
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"type": data, "name": data, "split": "test", "revision": one_line(run.data.sha256, 64)},
        "metrics": metrics,
    }
    front: dict[str, Any] = {
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["digit-classification", f"release-gate-{run.verdict.word.replace('_', '-')}"],
        "model-index": [{"name": name, "results": [result] if metrics else []}],
    }
    return f"---\n{json.dumps(front, indent=1, ensure_ascii=False)}\n---\n\n{markdown.render(run)}"
