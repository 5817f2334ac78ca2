"""The history of releases: every verdict of a ledger in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness import formatting
from harness.records import Ledger, LedgerEntry
from harness.report.facts import VERDICTS
from harness.report.gates import Badge
from harness.report.safe import sentence, short

_WIDTH, _HEIGHT, _LEFT = 900.0, 220.0, 60.0
_MOST = 400  # verdicts that are drawn, the newest
_GATES = 24
_WIDTHS = 3  # of an interval, beyond the threshold, that the axis shows


@dataclass(frozen=True)
class Point:
    """A verdict in the drawing."""

    x: str
    y: str
    low: str
    high: str
    tone: str


@dataclass(frozen=True)
class Drawing:
    """Accuracy with intervals over time, the threshold of the newest verdict as a line."""

    points: tuple[Point, ...]
    threshold: str  # y; empty where no gate asks for accuracy
    ticks: tuple[tuple[str, str], ...]  # y and text
    text: str


@dataclass(frozen=True)
class Line:
    """A line of the ledger."""

    when: str
    name: str
    sha256: str
    badge: Badge | None  # None of an accepted baseline
    accuracy: str
    spread: str
    closest: str
    note: Markup


@dataclass(frozen=True)
class Used:
    """Number of models that one test set has judged."""

    data: str
    models: str
    released: str
    since: str


@dataclass(frozen=True)
class Strip:
    """Verdicts in which a gate was among the closest."""

    gate: str
    marks: tuple[bool, ...]


@dataclass(frozen=True)
class History:
    """The page."""

    lines: tuple[Line, ...]
    left_out: int
    broken: tuple[Markup, ...]
    drawing: Drawing | None
    used: tuple[Used, ...]
    strips: tuple[Strip, ...]


def history(ledger: Ledger) -> History:
    """Build the page of a ledger, the newest verdict first."""
    newest = ledger.entries[-_MOST:]
    verdicts = [one for one in newest if one.kind == "verdict"]
    return History(
        lines=tuple(_line(one) for one in reversed(newest)),
        left_out=len(ledger.entries) - len(newest),
        broken=tuple(sentence(one) for one in ledger.broken[:20]),
        drawing=_drawing([one for one in verdicts if one.accuracy]),
        used=_used(ledger.entries),
        strips=_strips(verdicts[-60:]),
    )


def _line(entry: LedgerEntry) -> Line:
    mark = Badge(*VERDICTS[entry.verdict]) if entry.verdict else None
    value, low, high = entry.accuracy or (None, None, None)
    spread = "" if low is None or high is None else f"{formatting.percent(low)} to {formatting.percent(high)}"
    note = f"accepted by {entry.by}: {entry.because}" if entry.kind == "accepted" else ""
    return Line(
        when=entry.when[:16].replace("T", " "),
        name=entry.name,
        sha256=entry.model[:10],
        badge=mark,
        accuracy="" if value is None else formatting.percent(value),
        spread=spread,
        closest=short(", ".join(entry.closest), 200),
        note=sentence(note),
    )


def _drawing(entries: Sequence[LedgerEntry]) -> Drawing | None:
    """Draw accuracy over time; what lies far below the threshold is drawn at the edge."""
    measured = [one.accuracy for one in entries if one.accuracy]
    if not measured:
        return None
    threshold = next((one.threshold for one in reversed(entries) if one.threshold is not None), None)
    widths = sorted(high - low for _, low, high in measured)
    around = threshold if threshold is not None else sorted(value for value, _, _ in measured)[len(measured) // 2]
    reach = max(_WIDTHS * widths[len(widths) // 2], 0.002)
    bottom, top = max(0.0, around - reach), min(1.0, around + reach)

    def place(value: float) -> float:
        return 10 + (_HEIGHT - 20) * (1 - (min(max(value, bottom), top) - bottom) / (top - bottom))

    step = (_WIDTH - _LEFT - 20) / max(1, len(measured) - 1)
    points = tuple(
        Point(
            f"{_LEFT + 10 + at * step:.1f}",
            f"{place(value):.1f}",
            f"{place(low):.1f}",
            f"{place(high):.1f}",
            VERDICTS[one.verdict][2] if one.verdict else "open",
        )
        for at, (one, (value, low, high)) in enumerate(zip(entries, measured, strict=True))
    )
    ticks = tuple((f"{place(value):.1f}", formatting.percent(value)) for value in (bottom, around, top))
    text = f"Accuracy of {formatting.count(len(measured), 'verdict')} in the order of time, with 95 % intervals"
    return Drawing(points, "" if threshold is None else f"{place(threshold):.1f}", ticks, text)


def _used(entries: Sequence[LedgerEntry]) -> tuple[Used, ...]:
    by_data: dict[str, list[LedgerEntry]] = {}
    for one in entries:
        if one.kind == "verdict":
            by_data.setdefault(one.data, []).append(one)
    return tuple(
        Used(
            data[:10],
            f"{len({one.model for one in many}):,}",
            f"{len({one.model for one in many if one.exit_code == 0}):,}",
            min(one.when for one in many)[:10],
        )
        for data, many in list(by_data.items())[:50]
    )


def _strips(verdicts: Sequence[LedgerEntry]) -> tuple[Strip, ...]:
    """List the gates that came closest, the most frequent first."""
    counts: dict[str, int] = {}
    for one in verdicts:
        for gate in one.closest:
            counts[gate] = counts.get(gate, 0) + 1
    often = sorted(counts, key=lambda gate: (-counts[gate], gate))[:_GATES]
    return tuple(Strip(short(gate, 80), tuple(gate in one.closest for one in verdicts)) for gate in often)
