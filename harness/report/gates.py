"""The findings as rows: failures first, each with its cause, its margin and a bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from harness import formatting
from harness.metrics import METRICS, display
from harness.records import Finding, Gate, Measurement, Run, Scope
from harness.report import picture
from harness.report.safe import anchor, sentence
from harness.report.shown import Shown

Tone = Literal["good", "warn", "bad", "open"]

_ORDER = ("failed", "not_evaluated", "inconclusive", "passed")
_HALVES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)  # of a bar, as shares
_MOST_EXHIBITS = 8
_MIDDLE, _REACH = 80.0, 72.0


@dataclass(frozen=True)
class Badge:
    """A status with its word and symbol."""

    icon: str
    word: str
    tone: Tone


@dataclass(frozen=True)
class Bar:
    """Interval, value and threshold in a box of 160 x 16; the good side is right of the middle."""

    low: str
    high: str
    width: str
    value: str
    beyond: str  # points of a little arrow where the interval leaves the box


@dataclass(frozen=True)
class Row:
    """A row of a table of findings."""

    id: str
    badge: Badge
    title: str
    href: str
    why: Markup  # what the numbers beside it do not say already
    because: Markup
    where: str
    measured: str
    spread: str
    n: str
    required: str
    proof: str
    margin: str
    images: str
    change: str  # against the baseline, of a gate that is not
    bar: Bar | None
    exhibits: tuple[Markup, ...]
    meaning: Markup  # of the metric


@dataclass(frozen=True)
class Rule:
    """The passed gates of one rule: one line that opens."""

    title: str
    count: str  # "9 of 10": how many of its gates passed
    required: str  # empty where its gates ask for different thresholds
    rows: tuple[Row, ...]  # the tightest first

    @property
    def tightest(self) -> Row:
        """Return the gate with the smallest margin."""
        return self.rows[0]


@dataclass(frozen=True)
class Table:
    """A table of findings; ``rules`` holds the gates that passed."""

    rows: tuple[Row, ...]
    rules: tuple[Rule, ...]
    suites: str  # "contract 5 of 5": how many checks of each suite passed
    left_out: int
    half: str  # what half a bar is worth
    compared: bool

    @property
    def meanings(self) -> tuple[Markup, ...]:
        """Explain each metric of the gates that did not pass."""
        return tuple(dict.fromkeys(row.meaning for row in self.open if row.meaning))

    @property
    def open(self) -> tuple[Row, ...]:
        """Return the rows that did not pass."""
        return tuple(row for row in self.rows if row.badge.tone != "good")

    @property
    def passed(self) -> tuple[Row, ...]:
        """Return the rows that passed."""
        return tuple(row for row in self.rows if row.badge.tone == "good")


def badge(finding: Finding) -> Badge:
    """Build the badge of a status."""
    if finding.status == "passed":
        return Badge("✓", "Passed", "good")
    word = {"failed": "Failed", "inconclusive": "Inconclusive", "not_evaluated": "Not evaluated"}[finding.status]
    if finding.waived and finding.waiver:
        return Badge("!", f"{word}, waived until {finding.waiver.until[:10]}", "warn")
    if finding.level == "warning":
        return Badge("!", f"Warning: {word.lower()}", "warn")
    return Badge("✕", word, "bad") if finding.status == "failed" else Badge("?", word, "open")


def table(run: Run, kind: Literal["gate", "check"], shown: Shown, most: int) -> Table:
    """List all findings of one kind, worst first; at most ``most`` rows."""
    findings = sorted((finding for finding in run.findings if finding.kind == kind), key=_rank)
    half = _half(findings)
    rows = [_row(finding, f"{kind}-{at}", shown, half, run.data.unit) for at, finding in enumerate(findings[:most], 1)]
    return Table(
        tuple(rows),
        _rules(findings[:most], rows),
        _suites(findings),
        len(findings) - len(rows),
        formatting.percent_short(half).replace("%", "pp"),
        any(row.change for row in rows),
    )


def _rules(found: Sequence[Finding], rows: Sequence[Row]) -> tuple[Rule, ...]:
    """Gather the gates by rule; rules in the order of their tightest gates, without those of which none passed."""
    gathered: dict[tuple[object, ...], list[tuple[Gate, Row]]] = {}
    for finding, row in zip(found, rows, strict=True):
        if finding.gate is not None:
            gathered.setdefault(display.family(finding.gate), []).append((finding.gate, row))
    rules = []
    for members in gathered.values():
        passed = tuple(row for _, row in members if row.badge.tone == "good")
        if passed:
            gates = [gate for gate, _ in members]
            title, required = display.title_of_several(gates), {row.required for row in passed}
            rules.append(
                Rule(
                    title[:1].upper() + title[1:400],
                    f"{len(passed)} of {len(members)}",
                    required.pop() if len(required) == 1 else "",
                    passed,
                )
            )
    return tuple(rules)


def _suites(found: Sequence[Finding]) -> str:
    """Count the checks that passed by the file they stand in: ``contract 5 of 5, data 4 of 4; 2 can only warn``."""
    counts: dict[str, list[bool]] = {}
    for finding in found:
        name = finding.where[:400].partition(":")[0].rpartition("/")[2].removesuffix(".py").removeprefix("test_")
        counts.setdefault(name.replace("_", " ")[:60], []).append(finding.status == "passed")
    each = ", ".join(f"{name} {sum(passed)} of {len(passed)}" for name, passed in sorted(counts.items())[:12])
    soft = sum(finding.level == "warning" for finding in found)
    return f"{each}; {soft} can only warn" if soft else each


def _rank(finding: Finding) -> tuple[bool, bool, int, float]:
    """Order findings: what keeps the release back, what only warns, what passed; in each the largest miss."""
    margin = finding.margin if finding.margin is not None and math.isfinite(finding.margin) else 0.0
    aside = finding.level == "warning" or finding.waived
    return finding.status == "passed", aside, _ORDER.index(finding.status), margin


def _row(finding: Finding, name: str, shown: Shown, half: float, unit: str) -> Row:
    gate, measured, margin = finding.gate, finding.measurement, finding.margin
    metric = gate.metric if gate else ""
    pictures = (picture.exhibit(text) for text in finding.exhibits[:_MOST_EXHIBITS])
    required, _, proof = display.requirement(gate).partition(", ") if gate else ("", "", "")
    return Row(
        id=name,
        badge=badge(finding),
        title=finding.title[:1].upper() + finding.title[1:400],
        href=_evidence(gate, shown) if gate else "",
        why=sentence(_why(finding, unit)),
        because=sentence(finding.because, 200),
        where=finding.where[:400],
        measured=_beside(measured, gate) if measured and gate else "",
        spread=shown.interval(measured) if measured else "",
        n=f"{measured.n:,}" if measured else "",
        required=required,
        proof=proof,
        margin=display.difference(metric, margin) if margin is not None and math.isfinite(margin) else "",
        images=_images(finding, unit),
        change=_change(gate, shown) if gate else "",
        bar=_bar(gate, measured, half) if gate and measured else None,
        exhibits=tuple(picture.address(found) for found in pictures if found is not None),
        meaning=sentence(display.meaning(gate)) if gate else Markup(""),
    )


def _why(finding: Finding, unit: str) -> str:
    gate, measured = finding.gate, finding.measurement
    if finding.status == "passed" or (finding.status == "failed" and measured):
        return ""
    if finding.status != "inconclusive" or gate is None or measured is None:
        reason = finding.reason[:4000].removeprefix(finding.title)
        return reason.removeprefix(" was not evaluated").removeprefix(": ").strip()
    if not measured.low <= gate.threshold <= measured.high:
        return "Beyond the threshold, but no proof of it when all gates are taken together."
    hint = ""
    if finding.images_needed:
        hint = f"; about {formatting.count(finding.images_needed, display.counted(gate.metric, unit))} would tell"
    if finding.units_needed and measured.units:
        more = formatting.count(max(1, finding.units_needed - measured.units), f"more {unit}")
        hint = f"; about {more} like these would tell"
    return f"The interval holds the threshold{hint}."


def _beside(measured: Measurement, gate: Gate) -> str:
    if not math.isfinite(measured.value):
        return "not a number"
    return display.figure(gate.metric, measured.value, gate.threshold, gate.against)


def _change(gate: Gate, shown: Shown) -> str:
    found = None if gate.against else shown.change(gate.metric, gate.scope)
    return display.difference(found.metric, found.value) if found else ""


def _images(finding: Finding, unit: str) -> str:
    amount, gate = finding.margin_images, finding.gate
    if amount is None or gate is None:
        return ""
    return f"{amount:+,} {display.counted(gate.metric, unit)}{'' if abs(amount) == 1 else 's'}"


def _evidence(gate: Gate, shown: Shown) -> str:
    """Link to the part of the page that shows what the gate measured; none where nothing was."""
    scope = gate.scope
    section = METRICS[gate.metric].section if gate.metric in METRICS else "classes"
    if gate.against:
        return "#changes" if shown.compared else ""
    if scope.corruption is not None:
        return "#" + anchor("robustness", scope.corruption) if scope.corruption in shown.corruptions else ""
    if gate.metric == "trigger_success":
        return "#trigger" if shown.find(gate.metric) else ""
    if section == "robustness":
        return "#robustness" if shown.corruptions else ""
    if not shown.answered:
        return ""
    if scope.digit is not None:
        return f"#class-{scope.digit}"
    if scope.property is not None:
        return "#" + anchor("slice", scope.property)
    return f"#{section}"


def _half(findings: Sequence[Finding]) -> float:
    """Choose half a bar in points: the smallest step that holds three quarters of the intervals."""
    ends = sorted(
        max(abs(end - finding.gate.threshold) for end in (finding.measurement.low, finding.measurement.high))
        for finding in findings
        if finding.gate and finding.measurement and display.is_share(finding.gate.metric)
    )
    if not ends or not math.isfinite(ends[-1]):
        return _HALVES[3]
    wanted = ends[len(ends) * 3 // 4]
    return next((step for step in _HALVES if step >= wanted), 1.0)


def _bar(gate: Gate, measured: Measurement, half: float) -> Bar | None:
    if not all(math.isfinite(number) for number in (measured.value, measured.low, measured.high, gate.threshold)):
        return None
    side = 1 if gate.rule == "at_least" else -1
    unit = half if display.is_share(gate.metric) else abs(gate.threshold) or 1.0

    def place(value: float) -> float:
        return _MIDDLE + _REACH * max(-1.0, min(1.0, side * (value - gate.threshold) / unit))

    low, high = sorted((place(measured.low), place(measured.high)))
    return Bar(
        low=f"{low:.1f}",
        high=f"{high:.1f}",
        width=f"{max(high - low, 1.0):.1f}",
        value=f"{place(measured.value):.1f}",
        beyond=_arrow(low, high),
    )


def _arrow(low: float, high: float) -> str:
    left, right = _MIDDLE - _REACH, _MIDDLE + _REACH
    if low <= left:
        return "8,4 1,8 8,12"
    return "152,4 159,8 152,12" if high >= right else ""


def statuses(run: Run, scope: Scope) -> list[Finding]:
    """List the gates on one corruption or space, whatever the severity, worst first."""
    found = [one for one in run.findings if one.gate is not None and one.gate.scope.corruption == scope.corruption]
    return sorted(found, key=_rank)
