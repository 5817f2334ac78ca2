"""What the intervals of a run take the test images to be drawn as, and how far a run hangs on that."""

from __future__ import annotations

from collections.abc import Sequence

from harness.formatting import count
from harness.metrics import Evaluation
from harness.records import Finding, Gate, Measurement, Sampling
from harness.statistics import intervals
from harness.statistics.estimates import Estimate
from harness.statistics.paired import WorstPairs

DECLARED = "none"  # the unit where images are declared independent


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


def sentence(sampling: Sampling | None, images: int) -> str:
    """Say what images are taken to be drawn as, in one or two sentences; empty where a run does not hold it."""
    if sampling is None or not images:
        return ""
    if sampling.unit not in ("", DECLARED):
        units = count(sampling.units, sampling.unit)
        return (
            f"Intervals are of {images:,} images of {units}, which tell of others as {sampling.effective_units:,.0f} "
            "of equal size would."
        )
    known = "as --unit none declares" if sampling.unit else "no writer, page or patient is known"
    text = f"Images are taken to be independent: {known}."
    if sampling.tips_at is None:
        return text
    return (
        f"{text} The required gates that pass would pass up to a design effect of {sampling.tips_at:.1f} "
        f"({sampling.tips_first} first); MNIST's writers make 1 to 7, and 30 images a writer whose mistakes correlate "
        "by 0.02 make 1.6."
    )
