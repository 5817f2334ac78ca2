"""Place of the candidate in the spread of the accepted runs: a strip a gate whose margin is from retraining."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.metrics import display
from harness.records import Finding, RetrainingMargin, Run

_MIDDLE, _MARGIN, _WIDTH = 132.0, 64.0, 200.0  # where the mean of the accepted runs lies, how far its margin, the width

ANSWERS = {
    "shown": "Shown: the whole interval is within the margin.",
    "not shown": "Not shown: the interval reaches beyond the margin, so that these images cannot tell.",
    "not refuted": "Not refuted: no proof of a loss beyond the margin, which is no proof that there is none.",
    "refuted": "Refuted: a loss beyond the margin is proven.",
}


@dataclass(frozen=True)
class Strip:
    """Drawing of a gate: accepted runs, candidate, margin and interval; better is to the right."""

    title: str
    answer: str
    change: str
    margin: str
    spread: str
    low: str
    width: str
    value: str
    edge: str
    runs: tuple[str, ...]
    tone: str
    text: str


@dataclass(frozen=True)
class Accepted:
    """The strips, those of primary gates apart."""

    primary: tuple[Strip, ...]
    guards: tuple[Strip, ...]
    left_out: int
    runs: str
    meanings: tuple[str, ...]


def accepted(run: Run, most: int) -> Accepted | None:
    """Build the strips; None where no margin is from retraining."""
    drawn = [one for one in run.findings if one.retraining is not None and one.measurement is not None and one.gate]
    if not drawn:
        return None
    primary = [_strip(one, one.retraining) for one in drawn if one.gate and one.gate.kind != "guard" and one.retraining]
    guards = [_strip(one, one.retraining) for one in drawn if one.gate and one.gate.kind == "guard" and one.retraining]
    answers = {one.answer for one in drawn}
    return Accepted(
        primary=tuple(primary),
        guards=tuple(guards[:most]),
        left_out=max(0, len(guards) - most),
        runs=_runs(run),
        meanings=tuple(text for answer, text in ANSWERS.items() if answer in answers),
    )


def sentence(run: Run) -> str:
    """Say how the candidate's accuracy lies in the spread; empty where no margin is from retraining."""
    for one in sorted(run.findings, key=lambda one: one.gate is None or one.gate.metric != "accuracy"):
        margin, gate = one.retraining, one.gate
        if margin is None or gate is None or one.measurement is None or gate.against != "baseline":
            continue
        change = display.difference(gate.metric, one.measurement.value, gate.threshold)
        name = display.title(gate.metric, gate.scope)
        moves, most = (display.distance(gate.metric, by) for by in (_deviation(margin), abs(gate.threshold)))
        return (
            f"Beside {_runs(run)}: {name} {change}; retraining moves it by {moves} "
            f"(one standard deviation), and {most} is the margin."
        )
    return ""


def _deviation(margin: RetrainingMargin) -> float:
    """Compute the standard deviation of a new run minus the mean of the accepted."""
    return margin.deviation * math.sqrt(1 + 1 / len(margin.losses))


def _runs(run: Run) -> str:
    pool = len(run.baseline.pool) if run.baseline else 0
    return f"the {pool + 1} accepted runs" if pool else "the last release"


def _strip(finding: Finding, margin: RetrainingMargin) -> Strip:
    gate, measured = finding.gate, finding.measurement
    assert gate is not None
    assert measured is not None
    better = 1 if gate.rule == "at_least" else -1
    limit = abs(gate.threshold)

    def place(gain: float) -> float:
        at = _MIDDLE + _MARGIN * gain / limit if limit > 0 and math.isfinite(gain) else _MIDDLE
        return min(_WIDTH - 4, max(4.0, at))

    ends = sorted(place(better * end) for end in (measured.low, measured.high))
    change = display.difference(gate.metric, measured.value, gate.threshold)
    title = finding.title[:1].upper() + finding.title[1:400]
    spread = display.distance(gate.metric, _deviation(margin))
    tone = {"passed": "good", "failed": "bad"}.get(finding.status, "open" if finding.level == "required" else "warn")
    return Strip(
        title=title,
        answer=finding.answer,
        change=change,
        margin=display.distance(gate.metric, limit),
        spread=spread,
        low=f"{ends[0]:.1f}",
        width=f"{max(ends[1] - ends[0], 1.0):.1f}",
        value=f"{place(better * measured.value):.1f}",
        edge=f"{place(-limit):.1f}",
        runs=tuple(f"{place(margin.mean - loss):.1f}" for loss in margin.losses) if len(margin.losses) > 1 else (),
        tone=tone,
        text=f"{change}, interval {display.interval(measured, gate.threshold)}",
    )
