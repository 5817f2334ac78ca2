"""Calibration in the report: confidence beside accuracy, images left to a person, and curves per digit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from harness import formatting
from harness.metrics import METRICS
from harness.metrics.counting import share
from harness.records import CLASSES, CLEAN, NO_ANSWER, Evidence, Scope
from harness.report.chart import FLOOR, LEFT, RIGHT, TOP, short, y
from harness.report.shown import Shown
from harness.statistics import reliability

_HANDED_OVER = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
_MOST_HANDED_OVER = _HANDED_OVER[-1]
_STEPS = 40  # of a curve
_WINDOW = 0.1  # of a curve per digit: up to 10 % false alarms, from 90 % found
_CURVE = 100.0  # its side in the drawing


@dataclass(frozen=True)
class Number:
    """A figure with its interval, as text."""

    label: str
    value: str
    spread: str
    n: str
    meaning: str


@dataclass(frozen=True)
class Band:
    """A tenth of the scale of confidence, and where it stands in the two drawings."""

    label: str
    n: str
    short: str  # n in few characters
    says: str
    right: str
    spread: str
    mistakes: str
    x: str
    y: str
    low: str
    high: str
    middle: str
    height: str  # of the bar of its mistakes


@dataclass(frozen=True)
class Handover:
    """A person reads the least sure; the model the rest."""

    share: str
    least: str  # confidence of what the model keeps
    kept: str
    mistakes: str
    accuracy: str
    spread: str


@dataclass(frozen=True)
class Curve:
    """The rank curve of one digit against the rest."""

    digit: int
    n: str
    area: str
    between: str  # its interval
    line: Markup
    text: str


@dataclass(frozen=True)
class Calibration:
    """The section on calibration."""

    missing: str  # why there is nothing to show
    lead: str
    numbers: tuple[Number, ...]
    bands: tuple[Band, ...]
    handovers: tuple[Handover, ...]
    risk: Markup
    highest: str  # share of mistakes at the top of the risk curve
    area: str  # under that curve, with its interval
    texts: tuple[str, str, str]  # the drawings in words
    curves: tuple[Curve, ...]


def calibration(evidence: Evidence, shown: Shown) -> Calibration | None:
    """Build the section on calibration; None where there were no answers at all."""
    clean = evidence.answers.get(CLEAN)
    if clean is None:
        return None
    if reason := reliability.why_improper(evidence.probabilities):
        return _nothing(reason)
    if (clean == NO_ANSWER).any():
        return _nothing("some images got no answer")
    bands, handovers = _bands(evidence), _handovers(evidence)
    risk, highest = _risk(evidence)
    texts = (
        "Reliability: " + "; ".join(f"says {one.says}, is right {one.right} ({one.n} images)" for one in bands),
        "Mistakes by confidence: " + "; ".join(f"{one.label}: {one.mistakes}" for one in bands),
        "Mistakes left: " + "; ".join(f"{one.share} read by a person: {one.mistakes}" for one in handovers),
    )
    words_first, curves = lead(evidence, shown), _curves(evidence, shown)
    area = _under(shown)
    return Calibration("", words_first, _numbers(shown), bands, handovers, risk, highest, area, texts, curves)


def lead(evidence: Evidence, shown: Shown) -> str:
    """Say in a sentence which way it is off."""
    sure, right = _claimed(evidence)
    says, is_right = shown.figure("accuracy", sure), shown.figure("accuracy", right)
    return (
        f"On average it is {says} sure and {is_right} right: {formatting.points(sure - right)}, {direction(evidence)}."
    )


def direction(evidence: Evidence) -> str:
    """Say in a word or two which way it is off; probabilities must be proper."""
    sure, right = _claimed(evidence)
    return "as sure as it should be" if sure == right else "too sure" if sure > right else "not sure enough"


def _claimed(evidence: Evidence) -> tuple[float, float]:
    """Compute mean confidence and accuracy."""
    sure = reliability.confidences(evidence.probabilities)
    return float(sure.mean()), float(reliability.right(evidence.labels, evidence.probabilities).mean())


def _nothing(reason: str) -> Calibration:
    return Calibration(reason, "", (), (), (), Markup(), "", "", ("", "", ""), ())


def _numbers(shown: Shown) -> tuple[Number, ...]:
    asked = [
        (one, entry) for entry in METRICS.values() if entry.section == "calibration" and (one := shown.find(entry.name))
    ]
    return tuple(
        Number(formatting.capital(entry.label), shown.value(one), shown.interval(one), f"{one.n:,}", entry.meaning)
        for one, entry in asked
    )


def _bands(evidence: Evidence) -> tuple[Band, ...]:
    tenths = reliability.bins(evidence.labels, evidence.probabilities, reliability.tenths)
    most = int((tenths.n - tenths.hits).max()) or 1
    bands = []
    columns = (tenths.at.tolist(), tenths.n.tolist(), tenths.hits.tolist(), tenths.confidence.tolist())
    which = reliability.tenths(reliability.confidences(evidence.probabilities))
    right = reliability.right(evidence.labels, evidence.probabilities)
    for at, n, hits, sure in zip(*columns, strict=True):
        low, high = share(evidence, right, which == at).display()[0]
        height = (n - hits) / most * (FLOOR - TOP)
        bands.append(
            Band(
                label=f"{10 * at} to {10 * at + 10} %",
                n=f"{n:,}",
                short=f"{n}" if n < 1000 else f"{n / 1000:.1f}k",
                says=formatting.percent(sure, 1.0),
                right=formatting.percent(hits / n, 1.0),
                spread=_spread(low, high),
                mistakes=f"{n - hits:,}",
                x=short(_x(sure)),
                y=short(y(hits / n)),
                low=short(y(low)),
                high=short(y(high)),
                middle=short(_x((at + 0.5) / 10)),
                height=short(height),
            )
        )
    return tuple(bands)


def _handovers(evidence: Evidence) -> tuple[Handover, ...]:
    sure, right = (
        reliability.confidences(evidence.probabilities),
        reliability.right(evidence.labels, evidence.probabilities),
    )
    handovers = []
    for handed in _HANDED_OVER:
        kept = reliability.kept(sure, 1 - handed)
        n, hits = int(kept.sum()), int(right[kept].sum())
        handovers.append(
            Handover(
                share=formatting.percent_short(handed),
                least=formatting.percent(float(sure[kept].min()), 1.0),
                kept=f"{n:,}",
                mistakes=f"{n - hits:,}",
                accuracy=formatting.percent(hits / n, 1.0),
                spread=_spread(*share(evidence, right, kept).display()[0]),
            )
        )
    return tuple(handovers)


def _risk(evidence: Evidence) -> tuple[Markup, str]:
    """Draw the share of mistakes among what the model keeps, by the share that a person reads."""
    _, counts = reliability.risk_curve(evidence.labels, evidence.probabilities)
    handed = 1 - counts[::-1, 0] / len(evidence.labels)
    wrong = counts[::-1, 1] / counts[::-1, 0]
    at = np.linspace(0, _MOST_HANDED_OVER, _STEPS + 1)
    risks = np.interp(at, handed, wrong)
    highest = float(risks.max()) or 1.0
    places = zip(at / _MOST_HANDED_OVER, risks / highest, strict=True)
    return _line([(_x(across), y(up)) for across, up in places]), formatting.percent(highest, 0.0)


def _under(shown: Shown) -> str:
    measured = shown.beside("risk_coverage_area")
    if measured is None:
        return ""
    low, high = (formatting.percent(end, 0.0) for end in (measured.low, measured.high))
    return f"{formatting.percent(measured.value, 0.0)} ({low.removesuffix(' %')} to {high})"


def _curves(evidence: Evidence, shown: Shown) -> tuple[Curve, ...]:
    curves = []
    for digit in range(CLASSES):
        n = int((evidence.labels == digit).sum())
        if not 0 < n < len(evidence.labels):
            continue
        false, true, area = reliability.roc(evidence.labels, evidence.probabilities, digit)
        at = np.linspace(0, _WINDOW, _STEPS + 1)
        up = np.maximum((np.interp(at, false, true) - (1 - _WINDOW)) / _WINDOW, 0.0)
        line = _line([*zip(at / _WINDOW * _CURVE, _CURVE - up * _CURVE, strict=True)])
        text = _area(area)
        bounds = shown.beside("one_vs_rest_auc", Scope(digit=digit))
        between = f"{_area(bounds.low).removesuffix(' %')} to {_area(bounds.high)}" if bounds else ""
        curves.append(
            Curve(digit, f"{n:,}", text, between, line, f"{digit} against the rest: area under the curve {text}")
        )
    return tuple(curves)


def _area(area: float) -> str:
    """Write an area with as many digits as keep it from looking perfect."""
    return formatting.percent(area, 1.0, 3)


def _x(share: float) -> float:
    return LEFT + share * (RIGHT - LEFT)


def _spread(low: float, high: float) -> str:
    return f"{formatting.percent(low, 1.0).removesuffix(' %')} to {formatting.percent(high, 1.0)}"


def _line(points: Sequence[tuple[float, float]]) -> Markup:
    """Write the points of a curve; of a level part only its ends."""
    texts = [(short(across), short(up)) for across, up in points]
    around = zip(texts, [("", ""), *texts], [*texts[1:], ("", "")], strict=False)
    return Markup(" ".join(f"{x},{up}" for (x, up), (_, before), (_, after) in around if not before == up == after))
