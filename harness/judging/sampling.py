"""Sampling unit that the intervals of a run assume, and sensitivity of its findings to that assumption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.metrics import Evaluation
from harness.metrics.display import DECLARED
from harness.records import Finding, Gate, Sampling
from harness.statistics.estimates import Estimate
from harness.statistics.grouping import Effect

MOST_TENTHS = 10_000  # of a design effect, above which nothing is said


def of(evaluation: Evaluation, findings: Sequence[Finding]) -> Sampling:
    """Name the sampling unit or, where none is known, the design effect from which a gate that passed would not."""
    evidence = evaluation.evidence
    if evidence.groups is not None and evidence.codes is not None and len(evidence.codes):
        effective = len(evidence.codes) / evidence.groups.mean_size()
        return Sampling(evidence.data.unit, evidence.data.units, effective)
    least, first = MOST_TENTHS, ""
    for one in findings:
        decided = one.status == "passed" and one.level == "required" and one.gate and one.gate.decide == "proven"
        if decided and one.gate and one.gate.id in evaluation.estimates:
            tenths = _passes_up_to(evaluation.estimates[one.gate.id], one.gate, least)
            least, first = (tenths, one.title) if tenths < least else (least, first)
    return Sampling(DECLARED if evidence.groups else "", tips_at=least / 10 if first else None, tips_first=first)


def _passes_up_to(estimate: Estimate, gate: Gate, most: int) -> int:
    """Find the largest design effect, in tenths from 1 to ``most``, with which the bound still proves the gate."""
    passes, not_yet = 10, most + 1
    while not_yet - passes > 1:
        middle = most if not_yet > most else (passes + not_yet) // 2
        (low, high), _ = with_design(estimate, middle / 10).bounds(gate.confidence)
        proven = low >= gate.threshold if gate.rule == "at_least" else high <= gate.threshold
        passes, not_yet = (middle, not_yet) if proven else (passes, middle)
    return passes


def with_design(estimate: Any, design: float) -> Any:
    """Return an estimate as if its images came in units with this design effect, and of as many units."""
    if hasattr(estimate, "share"):
        return replace(estimate, share=with_design(estimate.share, design))
    for parts in ("shares", "each"):
        if hasattr(estimate, parts):
            return replace(estimate, **{parts: [with_design(one, design) for one in getattr(estimate, parts)]})
    return replace(estimate, effect=Effect(design, estimate.n, float(estimate.n), estimate.n))
