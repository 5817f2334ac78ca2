"""The parts of the page. To show more, add a part here and use it in a file in reports/sections/."""

from __future__ import annotations

from dataclasses import dataclass

from harness.metrics.display import drawn_as
from harness.records import Evidence, Qualification, Run, SessionFacts
from harness.report import (
    accepted,
    calibration,
    changes,
    classes,
    errors,
    facts,
    gates,
    mistakes,
    qualification,
    slices,
    triggers,
    units,
)
from harness.report.robustness import robustness
from harness.report.safe import sentence
from harness.report.shown import Shown


@dataclass(frozen=True)
class Amount:
    """The most that is shown of pictures, rows and text."""

    pictures: int
    each: int
    rows: int
    text: int


def view(
    run: Run, evidence: Evidence, session: SessionFacts | None, amount: Amount, faults: Qualification | None = None
) -> dict[str, object]:
    """Build the parts that the templates place, by name."""
    shown = Shown(run)
    galleries = mistakes.galleries(run, evidence, amount.each, amount.pictures)
    pictured = [picture.index for one in galleries.galleries for picture in one.pictures] if galleries else []
    return {
        "run": run,
        "banner": facts.banner(run),
        "allowances": facts.allowances(run),
        "beside": sentence(accepted.sentence(run)),
        "identity": facts.identity(run, session),
        "tiles": classes.tiles(run, evidence, shown),
        "resolution": classes.resolution(shown),
        "fault": sentence(evidence.fault),
        "gates": gates.table(run, "gate", shown, amount.rows),
        "errors": errors.errors(run, amount.rows),
        "checks": gates.table(run, "check", shown, amount.rows),
        "accepted": accepted.accepted(run, amount.rows),
        "changes": changes.changes(run, evidence, shown, amount.each),
        "confusion": classes.confusion(run, shown),
        "digits": classes.digits(run, shown),
        "overall": classes.overall(shown),
        "robustness": robustness(run, evidence, shown),
        "trigger": triggers.found(evidence, shown),
        "calibration": calibration.calibration(evidence, shown),
        "qualification": qualification.section(faults, run, evidence),
        "galleries": galleries,
        "slices": slices.table(evidence, shown, frozenset(pictured)),
        "units": units.units(run, evidence, shown, frozenset(pictured), amount.rows),
        "sampling": sentence(drawn_as(run.sampling, run.data.n)),
        "controls": tuple(one.reason for one in run.findings if one.kind == "control"),
        "twins": facts.twins(run),
        "data": facts.data(run.data),
        "used": facts.used(run.uses),
        "model": facts.model(run.model, session, min(amount.rows, 100)),
        "provenance": facts.provenance(run, session, amount.text),
    }
