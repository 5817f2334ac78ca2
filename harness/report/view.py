"""What a section may show. To show more, add a property here and use it in a file in reports/sections/."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from harness.records import Evidence, Run, SessionFacts
from harness.report import calibration, changes, classes, errors, facts, mistakes, slices
from harness.report import gates as findings
from harness.report.robustness import Robustness, robustness
from harness.report.safe import sentence
from harness.report.shown import Shown


@dataclass(frozen=True)
class Amount:
    """How much is shown of what could be endless."""

    pictures: int
    each: int
    rows: int
    text: int


class View:
    """What the templates may show, each part made when a section first asks for it."""

    def __init__(self, run: Run, evidence: Evidence, session: SessionFacts | None, amount: Amount) -> None:
        self.run, self.evidence, self.session, self.amount = run, evidence, session, amount
        self.shown = Shown(run)

    @cached_property
    def banner(self) -> facts.Banner:
        """Build the banner."""
        return facts.banner(self.run)

    @cached_property
    def identity(self) -> tuple[facts.Item, ...]:
        """Build the line that identifies the run."""
        return facts.identity(self.run, self.session)

    @cached_property
    def tiles(self) -> tuple[classes.Tile, ...]:
        """Build the headline figures."""
        return classes.tiles(self.run, self.evidence, self.shown)

    @cached_property
    def resolution(self) -> str:
        """Build the sentence on the smallest detectable difference."""
        return classes.resolution(self.shown)

    @property
    def fault(self) -> Markup:
        """Return the candidate's fault."""
        return sentence(self.evidence.fault)

    @cached_property
    def gates(self) -> findings.Table:
        """Build the tables of gates."""
        return findings.table(self.run, "gate", self.shown, self.amount.rows)

    @cached_property
    def errors(self) -> errors.Errors | None:
        """Build the section on gate errors."""
        return errors.errors(self.run, self.amount.rows)

    @cached_property
    def checks(self) -> findings.Table:
        """Build the table of checks."""
        return findings.table(self.run, "check", self.shown, self.amount.rows)

    @cached_property
    def changes(self) -> changes.Changes | None:
        """Build the section on changes."""
        return changes.changes(self.run, self.evidence, self.shown, self.amount.each)

    @cached_property
    def confusion(self) -> classes.Confusion:
        """Build the confusion matrix."""
        return classes.confusion(self.run, self.shown)

    @cached_property
    def digits(self) -> tuple[classes.Digit, ...]:
        """Build the figures of each digit."""
        return classes.digits(self.run, self.shown)

    @cached_property
    def overall(self) -> tuple[classes.Tile, ...]:
        """Build the overall figures."""
        return classes.overall(self.shown)

    @cached_property
    def robustness(self) -> Robustness:
        """Build the section on robustness."""
        return robustness(self.run, self.evidence, self.shown)

    @cached_property
    def calibration(self) -> calibration.Calibration | None:
        """Build the section on calibration."""
        return calibration.calibration(self.evidence, self.shown)

    @cached_property
    def galleries(self) -> mistakes.Galleries | None:
        """Build the section with the mistakes."""
        return mistakes.galleries(self.run, self.evidence, self.amount.each, self.amount.pictures)

    @cached_property
    def slices(self) -> slices.Slices | None:
        """Build the section on slices."""
        shots = [shot for one in self.galleries.galleries for shot in one.pictures] if self.galleries else []
        return slices.table(self.evidence, self.shown, frozenset(shot.index for shot in shots))

    @cached_property
    def controls(self) -> tuple[str, ...]:
        """Build the table of controls."""
        return tuple(one.reason for one in self.run.findings if one.kind == "control")

    @cached_property
    def twins(self) -> tuple[tuple[Markup, Markup], ...]:
        """Build the pictures of near duplicates."""
        return facts.twins(self.run)

    @cached_property
    def data(self) -> facts.Data:
        """Build the section on the data."""
        return facts.data(self.run.data)

    @cached_property
    def model(self) -> facts.Model:
        """Build the section on the model."""
        return facts.model(self.run.model, self.session, min(self.amount.rows, 100))

    @cached_property
    def provenance(self) -> facts.Provenance:
        """Build the section on provenance."""
        return facts.provenance(self.run, self.session, self.amount.text)
