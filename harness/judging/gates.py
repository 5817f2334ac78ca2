"""(Measurement, Gate) -> Finding. How a gate decides: pass, fail, or the data cannot tell."""

from __future__ import annotations

import math
from dataclasses import replace

from harness.formatting import count
from harness.metrics import changes
from harness.metrics.display import counted, difference, figure, limit, title_of
from harness.metrics.evaluation import Evaluation
from harness.metrics.margins import RETRAINING
from harness.metrics.registry import measurement, parts_of
from harness.records import Answer, Evidence, Finding, Gate, Measurement, Status
from harness.statistics import grouping, intervals
from harness.statistics.estimates import Estimate


def judge_all(evaluation: Evaluation) -> tuple[Finding, ...]:
    """Judge every gate; *fail* is declared on p-values adjusted over the required gates (Holm 1979), guards apart."""
    gates, estimates = evaluation.gates, evaluation.estimates
    corrected = [gate for gate in gates if gate.id in estimates and is_corrected(gate)]
    adjusted: dict[str, float] = {}
    for guards in (False, True):
        family = [gate for gate in corrected if (gate.kind == "guard") == guards]
        raw = [estimates[gate.id].p_value(gate.rule, gate.threshold) for gate in family]
        adjusted |= dict(zip((gate.id for gate in family), intervals.holm(raw), strict=True))
    findings = []
    for gate in gates:
        if gate.id not in estimates:
            findings.append(not_evaluated(gate, evaluation.missing[gate.id]))
            continue
        if few := _too_few_units(estimates[gate.id], evaluation.evidence):
            findings.append(not_evaluated(gate, few))
            continue
        measured = _measured(estimates[gate.id], gate)
        found = judge(measured, gate, adjusted.get(gate.id), unit=evaluation.evidence.data.unit)
        findings.append(replace(found, retraining=evaluation.margins.get(gate.id)))
    return tuple(findings)


def is_corrected(gate: Gate) -> bool:
    """Tell whether a fail of this gate is declared on a p-value adjusted over its family."""
    return gate.level == "required" and gate.decide != "point"


def _measured(estimate: Estimate, gate: Gate) -> Measurement:
    return measurement(estimate, gate.metric, gate.scope, estimate.bounds(gate.confidence), gate.against)


def has_too_few_units(estimate: Estimate) -> bool:
    """Tell whether the units of an estimate, or of a part that it is the worst of, are too few to speak of others."""
    return any(one.effect is not None and one.effect.effective < grouping.FEWEST for one in parts_of(estimate))


def _too_few_units(estimate: Estimate, evidence: Evidence) -> str:
    """Say why units are too few; empty where they are enough."""
    if not has_too_few_units(estimate):
        return ""
    unit, names = evidence.data.unit, getattr(estimate, "names", ())
    known = [(one.effect, at) for at, one in enumerate(parts_of(estimate)) if one.effect is not None]
    effect, at = min(known, key=lambda pair: pair[0].effective)
    which = f" ({names[at]})" if names else ""
    return (
        f"{count(effect.n, 'image')}{which} of {count(effect.units, unit)}, in effect {effect.effective:.1f}: too few "
        f"to speak of a {unit} not seen, which takes {grouping.FEWEST}. Add images of others, or, where no others will "
        "come, make them slices and give --unit none"
    )


def judge(measurement: Measurement, gate: Gate, adjusted_p: float | None = None, unit: str = "") -> Finding:
    """Hold one measurement, whose bounds are at the gate's confidence, against one gate.

    ``adjusted_p``: chance of such a result if the threshold were met, adjusted for the other gates; without it the
    bounds alone decide. A value or bound that is no number decides nothing. ``unit``: name of the sampling unit.
    """
    at_least = gate.rule == "at_least"
    value, low, high, wanted = measurement.value, measurement.low, measurement.high, gate.threshold
    holds = value >= wanted if at_least else value <= wanted
    proven = low >= wanted if at_least else high <= wanted
    disproven = high < wanted if at_least else low > wanted
    if not (low <= value <= high and math.isfinite(wanted)):
        return not_evaluated(gate, f"its value {value:g} has no interval, or its threshold {wanted:g} is no number")
    if adjusted_p is not None:
        disproven = disproven and not adjusted_p > 1 - gate.confidence
    status = _status(gate, holds=holds, proven=proven, disproven=disproven)
    watched = gate.kind == "guard" and status == "passed" and not holds
    if watched:
        status = "inconclusive"
    margin = value - wanted if at_least else wanted - value
    needed = _needed(measurement, gate) if status == "inconclusive" and not watched else None
    units = _units_needed(measurement, needed)
    return Finding(
        id=f"gate/{gate.id}",
        kind="gate",
        title=title_of(gate),
        status=status,
        reason=_reason(measurement, gate, status, margin, needed, units, unit) + _may_be_missing(measurement, unit),
        level="warning" if watched else gate.level,
        because=gate.because,
        where=f"{gate.file}:{gate.line}",
        gate=gate,
        measurement=measurement,
        margin=margin,
        margin_images=_images(measurement, margin),
        images_needed=needed,
        units_needed=units,
        answer=_answer(gate, status),
    )


def _status(gate: Gate, *, holds: bool, proven: bool, disproven: bool) -> Status:
    if gate.decide == "point":
        return "passed" if holds else "failed"
    if gate.decide == "not-disproven":
        return "failed" if disproven else "passed"
    return "passed" if proven else "failed" if disproven else "inconclusive"


def _answer(gate: Gate, status: Status) -> Answer:
    if gate.decide == "point":
        return ""
    if status == "failed":
        return "refuted"
    if gate.decide == "not-disproven":
        return "not refuted"
    return "shown" if status == "passed" else "not shown"


def not_evaluated(gate: Gate, reason: str) -> Finding:
    """Make the finding of a gate whose number does not exist."""
    name = title_of(gate)
    return Finding(
        id=f"gate/{gate.id}",
        kind="gate",
        title=name,
        status="not_evaluated",
        reason=f"{name} {reason}" if reason == changes.NO_BASELINE else f"{name} was not evaluated: {reason}",
        level=gate.level,
        because=gate.because,
        where=f"{gate.file}:{gate.line}",
        gate=gate,
    )


def _needed(measurement: Measurement, gate: Gate) -> int | None:
    """Compute how many images would settle a gate; of images of units, as many more as the design effect says.

    None too where these images would do for the gate alone, and the other gates leave it open.
    """
    n, wanted, sure = measurement.n, gate.threshold, gate.confidence
    needed = None
    if measurement.broken is not None and measurement.fixed is not None:
        needed = intervals.pairs_needed(measurement.broken, measurement.fixed, n, wanted, sure)
    elif measurement.hits is not None:
        needed = intervals.images_needed(measurement.hits, n, wanted, gate.rule, sure)
    if needed is not None and measurement.effect is not None:
        needed = math.ceil(needed * measurement.effect)
    return needed if needed is not None and needed > n else None


def _units_needed(measurement: Measurement, images: int | None) -> int | None:
    """Count the units, of as many images each as these, that have so many images."""
    if images is None or measurement.units is None:
        return None
    return math.ceil(measurement.units * images / measurement.n)


def _may_be_missing(measurement: Measurement, unit: str) -> str:
    effective = measurement.effective_units
    if effective is None or effective > grouping.ENOUGH:
        return ""
    return f"; a kind of {unit} that one in 20 is of may be missing among {effective:.0f} in effect"


def _images(measurement: Measurement, margin: float) -> int | None:
    if measurement.hits is None and measurement.broken is None:
        return None
    whole = abs(margin) * measurement.n
    return int(whole + 1e-9) if margin >= 0 else -int(-(-(whole - 1e-9) // 1))


def _reason(
    measurement: Measurement,
    gate: Gate,
    status: Status,
    margin: float,
    needed: int | None,
    units: int | None,
    unit: str,
) -> str:
    name, metric, wanted, against = title_of(gate), gate.metric, gate.threshold, gate.against
    words, noun = "at least" if gate.rule == "at_least" else "at most", counted(metric, unit)
    value = figure(metric, measurement.value, wanted, against)
    part = f" ({measurement.part})" if measurement.part else ""
    flips = ""
    if measurement.broken is not None and measurement.fixed is not None:
        flips = f"; {measurement.broken:,} newly wrong, {measurement.fixed:,} newly right"
    if status == "inconclusive" and gate.kind == "guard":
        beyond = limit(metric, wanted, against)
        return f"{name}{part} is {value}, beyond {_margin_words(gate)} ({beyond}), but that is not refuted{flips}"
    if status == "inconclusive":
        bound = measurement.low if gate.rule == "at_least" else measurement.high
        side = "lower" if gate.rule == "at_least" else "upper"
        hint = f"; about {needed:,} {noun}s would tell" if needed else ""
        if units is not None and measurement.units is not None:
            each = measurement.n / measurement.units
            more = count(max(1, units - measurement.units), f"more {unit}")
            hint = f"; about {more} like these (each some {each:.0f} images) would tell"
        shown = f"does not show {words} {limit(metric, wanted, against)}{flips}{hint}"
        on = f"{value} on {count(measurement.n, noun)}"
        return f"{name}{part} is {on}, but its {side} bound {figure(metric, bound, wanted, against)} {shown}"
    if gate.margin and status == "failed":
        images, far = _images(measurement, margin), limit(metric, wanted, against)
        amount = "" if images is None else f", {count(abs(images), noun)}"
        short = f"{difference(metric, margin)}{amount}{flips}"
        return f"{name}{part} is {value}: worse than {_margin_words(gate)} ({far}; {short})"
    images = _images(measurement, margin)
    amount = "" if images is None else f", {count(abs(images), noun)}"
    must = f"must be {words} {limit(metric, wanted, against)}"
    return f"{name}{part} is {value}, {must} ({difference(metric, margin)}{amount}{flips})"


def _margin_words(gate: Gate) -> str:
    if gate.margin == RETRAINING:
        return "twice what retraining does" if gate.against == "anchor" else "what retraining does"
    return f"{gate.margin} of the mistakes" if gate.margin else "its margin" if gate.against else "its threshold"
