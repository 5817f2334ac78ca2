"""What the intervals of a run take the test images to be drawn as, and how far a run hangs on that."""

from __future__ import annotations

from collections.abc import Sequence

from harness.metrics import Evaluation
from harness.metrics.display import DECLARED
from harness.records import Finding, Gate, Measurement, Sampling
from harness.statistics import intervals
from harness.statistics.estimates import Estimate
from harness.statistics.paired import WorstPairs


def of(evaluation: Evaluation, findings: Sequence[Finding]) -> Sampling:
    """Name the sampling unit or, where none is known, the design effect from which a gate that passed would not."""
    evidence = evaluation.evidence
    if evidence.groups is not None and evidence.codes is not None and len(evidence.codes):
        effective = len(evidence.codes) / evidence.groups.mean_size()
        return Sampling(evidence.data.unit, evidence.data.units, effective)
    tipping = [
        (effect, one.title)
        for one in findings
        if one.gate is not None
        and one.measurement is not None
        and one.status == "passed"
        and one.level == "required"
        and one.gate.decide == "proven"
        and (effect := _tipping(one.gate, one.measurement, evaluation.estimates.get(one.gate.id))) is not None
    ]
    least, title = min(tipping, default=(None, ""))
    return Sampling(DECLARED if evidence.groups else "", tips_at=least, tips_first=title)


def _tipping(gate: Gate, measured: Measurement, estimate: Estimate | None) -> float | None:
    """Find the design effect at which the bound of a gate that passed would reach its threshold."""
    n, sure = measured.n, gate.confidence
    if isinstance(estimate, WorstPairs) or estimate is None:
        return None
    needed = None
    if measured.broken is not None and measured.fixed is not None:
        needed = intervals.pairs_needed(measured.broken, measured.fixed, n, gate.threshold, sure)
    elif measured.hits is not None:
        needed = intervals.images_needed(measured.hits, n, gate.threshold, gate.rule, sure)
    if needed is not None:
        return max(1.0, n / needed)
    bound = measured.low if gate.rule == "at_least" else measured.high
    if measured.hits is not None or bound == measured.value:
        return None
    return max(1.0, ((gate.threshold - measured.value) / (bound - measured.value)) ** 2)
