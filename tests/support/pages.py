"""The pages beside the report, made of the samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness import report
from harness.evidence import baseline_file
from harness.metrics import change_table, evaluate
from harness.records import CLEAN
from tests.support import samples

HOSTILE = '<img src=x onerror=alert(1)>"&\u202e.keras'


def index() -> str:
    """The page of several candidates."""
    return report.render_index(judged())


def judged() -> list[report.Judged]:
    """Four candidates, the last one unusable and with a hostile name."""
    runs = {"allowed": samples.allowed()[0], "usual": samples.usual()[0], "succeeded": samples.succeeded()[0]}
    return [
        *(report.Judged(f"{name}.keras", name, run) for name, run in runs.items()),
        report.Judged(HOSTILE, "a b#c", None, "<b>no model</b>"),
    ]


def compared() -> str:
    """The page of the sample with a last release, beside which 41 images are newly wrong and 100 newly right."""
    run, evidence = samples.succeeded()
    assert evidence.baseline is not None
    last = evidence.baseline.predictions
    before = replace(evidence, predictions=last, baseline=None)
    changes = change_table(evaluate(replace(evidence, baseline=baseline_file.of(before)), ()))
    was, now = (each.answers[CLEAN] == evidence.labels for each in (before, evidence))
    wrong, right = np.flatnonzero(was & ~now), np.flatnonzero(now & ~was)
    model = replace(run.model, name=HOSTILE)
    return report.render_comparison((replace(run, model=model), before), (run, evidence), changes, wrong, right)
