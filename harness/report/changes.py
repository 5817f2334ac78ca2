"""Changes against the baseline: differences on the same images, which answers flipped, and the digits it broke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from harness.metrics import display
from harness.records import CLASSES, CLEAN, NO_ANSWER, Baseline, Evidence, Measurement, Run
from harness.report import picture
from harness.report.classes import gallery, said_name
from harness.report.safe import sentence
from harness.report.shown import Shown

_MOST_BROKEN = 24
_MOST_CORRUPTED = 12
_SHOWN = ("accuracy", "macro_f1", "log_loss", "brier_score", "expected_calibration_error", "recall")  # in this order


@dataclass(frozen=True)
class Line:
    """A row of the table of changes."""

    name: str
    change: str
    spread: str
    broken: str
    fixed: str


@dataclass(frozen=True)
class Broken:
    """The picture of an image on which the models differ."""

    source: Markup
    alt: str
    said: str
    index: int
    href: str


@dataclass(frozen=True)
class Flips:
    """Clean images by who is right."""

    both: str
    fixed: str
    broken: str
    neither: str
    chance: str  # in words, the p-value of McNemar's test


@dataclass(frozen=True)
class Changes:
    """The section on changes against the baseline."""

    name: str
    accepted: Markup
    clean: tuple[Line, ...]
    corrupted: tuple[Line, ...]  # those that lost most
    left_out: int
    flips: Flips | None
    pictures: tuple[Broken, ...]
    more: int


def changes(run: Run, evidence: Evidence, shown: Shown, most: int) -> Changes | None:
    """Build the section on changes; None without a baseline; at most ``most`` pictures."""
    last = evidence.baseline
    if last is None:
        return None
    facts = last.facts
    on = f" on {facts.accepted_on}" if facts.accepted_on else ""
    accepted = f"Accepted by {facts.accepted_by}{on}: {facts.because}" if facts.accepted_by else ""
    clean = [one for name in _SHOWN for one in run.changes if one.metric == name and one.scope.corruption is None]
    corrupted = sorted((one for one in run.changes if one.scope.corruption is not None), key=lambda one: one.value)
    ours, theirs = evidence.answers.get(CLEAN), last.predictions.answers.get(CLEAN)
    comparable = bool(clean) and ours is not None and theirs is not None
    pictures, more = _broken(evidence, last, min(most, _MOST_BROKEN)) if comparable else ((), 0)
    return Changes(
        name=facts.model,
        accepted=sentence(accepted),
        clean=lines(clean),
        corrupted=lines(corrupted[:_MOST_CORRUPTED]),
        left_out=len(run.changes) - len(clean) - len(corrupted[:_MOST_CORRUPTED]),
        flips=_flips(run, shown),
        pictures=pictures,
        more=more,
    )


def lines(measured: Sequence[Measurement]) -> tuple[Line, ...]:
    """Build the rows of differences."""
    return tuple(_line(one) for one in measured)


def _line(one: Measurement) -> Line:
    title = display.title(one.metric, one.scope)
    return Line(
        name=title[:1].upper() + title[1:],
        change=display.difference(one.metric, one.value),
        spread=display.interval(one),
        broken="–" if one.broken is None else f"{one.broken:,}",
        fixed="–" if one.fixed is None else f"{one.fixed:,}",
    )


def _flips(run: Run, shown: Shown) -> Flips | None:
    change = shown.change("accuracy")
    if change is None or change.broken is None or change.fixed is None:
        return None
    right = sum(row[digit] for digit, row in enumerate(run.confusion))
    return Flips(
        both=f"{right - change.fixed:,}",
        fixed=f"{change.fixed:,}",
        broken=f"{change.broken:,}",
        neither=f"{change.n - right - change.broken:,}",
        chance=display.p_value(change),
    )


def _broken(evidence: Evidence, last: Baseline, most: int) -> tuple[tuple[Broken, ...], int]:
    """Digits that only the last release read, the most confident mistakes first."""
    said = evidence.answers[CLEAN]
    indexes = np.flatnonzero((said != evidence.labels) & (last.predictions.answers[CLEAN] == evidence.labels))
    rows = evidence.probabilities
    sure = np.array([_sure(rows[at], int(said[at])) for at in indexes])
    kept = indexes[np.argsort(-sure, kind="stable")][:most]
    return tuple(_one(evidence, int(at)) for at in kept), len(indexes) - len(kept)


def _sure(row: np.ndarray[tuple[int], np.dtype[np.float32]], said: int) -> float:
    return float(np.nan_to_num(row[said])) if 0 <= said < len(row) else 0.0


def _one(evidence: Evidence, at: int) -> Broken:
    true, answer = int(evidence.labels[at]), int(evidence.answers[CLEAN][at])
    said = CLASSES if answer == NO_ANSWER else answer
    text = f"{true} → {said_name(said)}"
    alt = f"true {true}, now {said_name(said)}, image {at}: the baseline reads it"
    return Broken(picture.example(evidence.images[at]), alt, text, at, f"#{gallery(true, said)}")
