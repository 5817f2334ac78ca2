"""The pages beside the report, made of the samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from harness import report
from harness.evidence import baseline_file
from harness.metrics import change_table, evaluate
from harness.records import CLEAN, Ledger, LedgerEntry, Word
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


def history() -> str:
    """The page of a ledger with 40 verdicts, an accepted baseline and a hostile name."""
    words: tuple[Word, ...] = ("allowed", "allowed_with_warnings", "blocked", "no_verdict")
    verdicts = [
        LedgerEntry(
            "verdict",
            f"2026-05-{at % 28 + 1:02d}T10:00:00Z",
            HOSTILE if at == 7 else f"cnn-{at}.keras",
            f"{at:064x}",
            "d" * 64,
            verdict=words[at % 4],
            exit_code=(0, 0, 1, 5)[at % 4],
            accuracy=(0.98 + at / 1e4, 0.975 + at / 1e4, 0.985 + at / 1e4),
            threshold=0.981,
            closest=("accuracy", f"recall-{at % 10}"),
        )
        for at in range(40)
    ]
    accepted = LedgerEntry("accepted", "2026-06-01T10:00:00Z", "a.keras", "a" * 64, "d" * 64, by="Ada", because="first")
    return report.render_history(Ledger((*verdicts, accepted), ("line 9 follows a line that is not there",)))
