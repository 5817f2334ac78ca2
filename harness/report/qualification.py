"""Report of a qualification: strengths of fault that the policy stops, survivors, the kill matrix."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from harness.formatting import percent
from harness.metrics.display import limit, qualified, title
from harness.records import SIDE, Evidence, Killed, Ladder, Mutant, Qualification, Run
from harness.report import picture
from harness.report.safe import sentence

_MOST_COLUMNS = 40  # of the kill matrix


@dataclass(frozen=True)
class Shot:
    """A digit that is newly misread."""

    source: Markup
    said: str
    alt: str


@dataclass(frozen=True)
class Fault:
    """A fault's operator: the strength from which it is stopped, and the mutants let through below."""

    name: str
    stopped: Markup
    below: Markup
    accuracy: str
    worst: str
    would: Markup
    shots: tuple[Shot, ...]
    more: int


@dataclass(frozen=True)
class Kill:
    """A row of the kill matrix: cells are ``h4`` where the finding alone stops it, ``h1`` where others do, too,
    ``not asked`` of a gate that was not."""

    said: Markup
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """The section Faults."""

    head: tuple[str, ...]
    faults: tuple[Fault, ...]
    columns: tuple[Markup, ...]
    kills: tuple[Kill, ...]
    unasked: bool
    lists: tuple[tuple[str, Markup], ...]
    notes: tuple[Markup, ...]


def section(qualification: Qualification | None, run: Run, evidence: Evidence) -> Section | None:
    """Build the section; None in the report of an ordinary run."""
    if qualification is None:
        return None
    titles = {one.id: one.title for one in run.findings}
    seen = {name for one in qualification.killed for name in one.by}
    names = sorted(seen, key=lambda name: (-sum(name in one.by for one in qualification.killed), name))[:_MOST_COLUMNS]
    kills = tuple(
        Kill(
            sentence(f"{one.operator}: {one.said}"),
            tuple(_cell(name, one) for name in names),
        )
        for one in qualification.killed
    )

    def listed(ids: tuple[str, ...]) -> Markup:
        return sentence(", ".join(titles.get(name, name) for name in ids) or "none", 4000)

    return Section(
        qualified(qualification),
        tuple(_fault(ladder, evidence) for ladder in qualification.ladders if ladder.mutants),
        tuple(sentence(titles.get(name, name)) for name in names),
        kills,
        any("not asked" in kill.cells for kill in kills),
        (
            (f"Stop nothing that they were asked about ({len(qualification.idle)})", listed(qualification.idle)),
            (f"Stop nothing alone ({len(qualification.never_alone)})", listed(qualification.never_alone)),
            (f"Suffice for all that is stopped ({len(qualification.cover)})", listed(qualification.cover)),
        ),
        tuple(sentence(f"{one.operator}: {one.note}") for one in qualification.ladders if one.note),
    )


def _cell(name: str, kill: Killed) -> str:
    if name in kill.not_asked:
        return "not asked"
    return "" if name not in kill.by else "h4" if len(kill.by) == 1 else "h1"


def _fault(ladder: Ladder, evidence: Evidence) -> Fault:
    gone, words = ladder.unnoticed, ladder.said or "nothing on its ladder"
    shots = tuple(_shots(gone, evidence)) if gone else ()
    turns = f"; there not of {', '.join(map(str, ladder.turns))}" if ladder.turns else ""
    return Fault(
        ladder.operator.replace("_", " "),
        sentence(f"{words} or less{turns}" if ladder.from_first else f"{words}{turns}"),
        sentence(ladder.below),
        "" if gone is None or gone.accuracy is None else percent(gone.accuracy),
        "" if gone is None or gone.worst_recall is None else f"{percent(gone.worst_recall)} of {gone.worst_digit}",
        sentence(_would(gone)) if gone else Markup(),
        shots,
        gone.newly_wrong - len(shots) if gone else 0,
    )


def _would(gone: Mutant) -> str:
    if gone.would is None:
        return ""
    gate = gone.would
    words = "at least" if gate.rule == "at_least" else "at most"
    return f"{title(gate.metric, gate.scope)} {words} {limit(gate.metric, gate.threshold)}"


def _shots(gone: Mutant, evidence: Evidence) -> list[Shot]:
    return [
        Shot(
            picture.example(evidence.images[one.index].reshape(SIDE, SIDE)),
            "none" if one.said < 0 else str(one.said),
            f"a {one.label}, newly read as {'nothing' if one.said < 0 else one.said}",
        )
        for one in gone.examples
        if 0 <= one.index < len(evidence.images)
    ]
