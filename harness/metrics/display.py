"""Names and values of metrics in words, each in its own unit."""

from __future__ import annotations

from collections.abc import Sequence

from harness.formatting import count, exactly, number, one_line, percent, percent_short, points
from harness.image_properties import PROPERTIES
from harness.image_properties.slices import name as slice_name
from harness.metrics.registry import METRICS
from harness.records import (
    CLASSES,
    Against,
    Finding,
    Gate,
    Lowering,
    Measurement,
    Qualification,
    Sampling,
    Scope,
    Waiver,
)
from harness.statistics.grouping import Effect
from harness.statistics.paired import Pairs

DECLARED = "none"  # the unit of a Sampling where images are declared independent


def is_share(metric: str) -> bool:
    """Tell whether a metric is shown in percent; what is not known here, a user's own or a diagnostic, is."""
    return metric not in METRICS or METRICS[metric].unit == "share"


def figure(metric: str, value: float, beside: float | None = None, against: Against = "") -> str:
    """Write a metric's value in its own unit; against the baseline the signed difference."""
    if against:
        return difference(metric, value, beside or 0.0)
    return percent(value, beside) if is_share(metric) else number(value, beside)


def limit(metric: str, threshold: float, against: Against = "") -> str:
    """Write a threshold in its metric's unit, with every digit that the policy gives: ``0.99955 -> "99.955 %"``."""
    sign = "+" if against else ""
    if not is_share(metric):
        return exactly(threshold, 4, sign=sign)
    return exactly(threshold, 2, percents=True, sign=sign) + (" pp" if against else " %")


def difference(metric: str, margin: float, beside: float = 0.0) -> str:
    """Write a signed difference in the metric's own unit."""
    return points(margin, beside) if is_share(metric) else number(margin, beside, sign="+")


def distance(metric: str, margin: float) -> str:
    """Write a distance in the metric's own unit, without a sign where it is not negative."""
    return difference(metric, margin).lstrip("+")


def p_value(one: Measurement) -> str:
    """Write the p-value of McNemar's test, the chance of as uneven flips where both models are equally good."""
    effect = None
    if one.effect is not None and one.units is not None and one.effective_units is not None:
        effect = Effect(one.effect, one.units, one.effective_units, one.n)
    p = Pairs(one.broken or 0, one.fixed or 0, one.n, effect=effect).equality
    return "less than 0.0001" if p < 1e-4 else number(p, 1.0)


def counted(metric: str, unit: str = "") -> str:
    """Name what a metric is a share of: images or, of units, these by their name."""
    return (unit or "unit") if metric in METRICS and METRICS[metric].of == "units" else "image"


def _label(metric: str) -> str:
    if metric in METRICS:
        return METRICS[metric].label
    return metric if ":" in metric else metric.replace("_", " ")


def title(metric: str, scope: Scope) -> str:
    """Name a measurement: "recall of 5"; under noise "accuracy under gaussian noise at severity 3"."""
    text = _label(metric)
    if scope.digit is not None:
        text += f" of {scope.digit}"
    if scope.slice is not None and scope.property is not None:
        return f"accuracy of the {slice_name(PROPERTIES[scope.property], scope.slice - 1)}"
    if scope.corruptions:
        return f"mean accuracy under {len(scope.corruptions)} corruptions"
    if scope.corruption is not None:
        text += f" under {scope.corruption.replace('_', ' ')}"
    if scope.severity is not None:
        text += f" at severity {scope.severity}"
    if scope.property is not None:
        text += f" by {scope.property.replace('_', ' ')}"
    if scope.column is not None:
        text += f" by {scope.column}"
    if scope.reaching is not None:
        text += f" that reach {limit('accuracy', scope.reaching)}"
    if scope.within is not None:
        text += f" within ±{scope.within}"
    return text


def title_of(gate: Gate) -> str:
    """Name what a gate measures: ``"recall of 5 against the baseline"``."""
    return title(gate.metric, gate.scope) + (f" against the {gate.against}" if gate.against else "")


def family(gate: Gate) -> tuple[str, str, str, tuple[bool, ...]]:
    """Return what gates of one rule have in common: metric, comparison, kind, and which parts of the scope they set."""
    parts = tuple(part is not None for part in (gate.scope.digit, gate.scope.slice, gate.scope.corruption))
    return gate.metric, gate.against, gate.kind, parts


def title_of_several(gates: Sequence[Gate]) -> str:
    """Name gates of one family: ``"recall of each digit"``, ``"accuracy under 7 corruptions"``."""
    first, scopes = gates[0], [gate.scope for gate in gates]
    if len(gates) == 1:
        return title_of(first)
    text = _label(first.metric)
    if first.scope.digit is not None:
        digits = {scope.digit for scope in scopes}
        text += " of each digit" if len(digits) == CLASSES else f" of {count(len(digits), 'digit')}"
    if first.scope.corruption is not None:
        names = sorted({scope.corruption[:240].replace("_", " ") for scope in scopes if scope.corruption})
        text += f" under {names[0] if len(names) == 1 else count(len(names), 'corruption')}"
    by = dict.fromkeys(scope.property or scope.column for scope in scopes if scope.property or scope.column)
    if by:
        named = " and ".join(one_line(str(name)[:240].replace("_", " "), 60) for name in list(by)[:4])
        text += f" of each fifth by {named}" if first.scope.slice is not None else f" by {named}"
    return text + (f" against the {first.against}" if first.against else "")


def meaning(gate: Gate) -> str:
    """Explain the metric of a gate in one sentence; empty where that is not known."""
    if gate.metric not in METRICS:
        return f"{gate.metric}: {gate.meaning}" if gate.meaning else ""
    label, text = _label(gate.metric), METRICS[gate.metric].meaning
    return f"{label[:1].upper()}{label[1:]}: {text[:1].lower()}{text[1:]}" if text else ""


def requirement(gate: Gate) -> str:
    """Write ``"≥ 98.50 %, proven at 95 %"``: the rule and what it takes to meet it."""
    sign = "≥" if gate.rule == "at_least" else "≤"
    how = {"proven": "proven", "point": "by the bare value", "not-disproven": "not disproven"}[gate.decide]
    how = {"primary": "shown", "guard": "not refuted", "": how}[gate.kind]
    sure = "" if gate.decide == "point" else f" at {percent_short(gate.confidence)}"
    return f"{bound_of(gate, sign)}, {how}{sure}"


def bound_of(gate: Gate, sign: str) -> str:
    """Write ``"≥ -0.30 pp"``; before the accepted runs are there, in words what the margin follows from."""
    if gate.margin and not gate.threshold:
        twice = "twice " if gate.against == "anchor" else ""
        return f"within {twice}{'what retraining does' if gate.margin == 'retraining' else gate.margin}"
    return f"{sign} {limit(gate.metric, gate.threshold, gate.against)}"


def interval(measurement: Measurement, beside: float | None = None) -> str:
    """Write ``"97.00 to 97.63 %"``, both ends on the right side of ``beside``."""
    low, high = (
        figure(measurement.metric, e, beside, measurement.against) for e in (measurement.low, measurement.high)
    )
    return f"{low.removesuffix(' %').removesuffix(' pp')} to {high}"


def exceptions(findings: Sequence[Finding]) -> tuple[tuple[str, str], ...]:
    """Describe each exception that the policy makes: a word and a sentence, waived failures first."""
    waived = (
        ("Waived", _because(one, f" {_failed(one)}; until {one_line(given.until)}, by {one_line(given.by)}", given))
        for one in findings
        if one.waived and (given := one.waiver)
    )
    lowered = (
        ("Only warns", _because(one, f" ({one.status.replace('_', ' ')})", lowering))
        for one in findings
        if (lowering := one.lowered)
    )
    return (*waived, *lowered)


def _failed(finding: Finding) -> str:
    return "failed" if finding.status == "failed" else f"is {finding.status}"


def _because(finding: Finding, state: str, given: Lowering | Waiver) -> str:
    where = f"{one_line(given.because, 400)} ({one_line(given.where, 200)})"
    return f"{one_line(finding.title, 400)}{state}, because {where}"


def qualified(result: Qualification) -> tuple[str, ...]:
    """Say how many mutants a policy stops, and how often it stops models without a fault, a sentence each."""
    lines = []
    if (score := result.score) is not None:
        lines.append(
            f"{percent(score.value)} of {count(score.mutants, 'mutant')} are stopped, {percent(score.low)} to "
            f"{percent(score.high)} over {count(score.operators, 'operator')}."
        )
    mutants = [one for ladder in result.ladders for one in ladder.mutants if ladder.family != "preprocessing"]
    if unasked := sum(bool(one.not_asked) for one in mutants):
        lines.append(
            f"Of {len(mutants)} that were judged {unasked} were stopped by two gates so surely that they were not "
            "asked about every condition."
        )
    if result.chance is not None:
        lines.append(f"Without a fault the model is stopped with probability {percent(result.chance)} on other images.")
    if result.retrainings:
        stopped = sum(bool(one.by) for one in result.retrainings)
        lines.append(f"Of {count(len(result.retrainings), 'retraining')} without a fault {stopped} are stopped.")
    return tuple(lines)


def drawn_as(sampling: Sampling | None, images: int) -> str:
    """Say what images are taken to be drawn as, in one or two sentences; empty where a run does not hold it."""
    if sampling is None or not images:
        return ""
    if sampling.unit not in ("", DECLARED):
        units = count(sampling.units, one_line(sampling.unit, 60))
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
        f"({one_line(sampling.tips_first, 200)} first); MNIST's writers make 1 to 7, and 30 images a writer whose "
        "mistakes correlate by 0.02 make 1.6."
    )
