"""The forms that a finished run can be shown in, each a function from it to text."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.outputs import badge, openmetrics
from harness.outputs.statement import dump, predicate, statement
from harness.report import bom, card, markdown, render
from harness.run.finished_run import FinishedRun

FORMS: Mapping[str, Callable[[FinishedRun], str]] = {
    "html": lambda of: render(of.run, of.evidence, of.session, of.qualification),
    "markdown": lambda of: markdown.render(of.run),
    "badge": lambda of: badge.svg(of.run),
    "badge.json": lambda of: badge.endpoint(of.run),
    "bom": lambda of: bom.render(of.run, of.session),
    "card": lambda of: card.render(of.run),
    "openmetrics": lambda of: openmetrics.render(of.run),
    "predicate": lambda of: dump(predicate(of.run, of.run_sha256, of.evidence_sha256)).decode(),
    "statement": lambda of: dump(statement(of.run, of.run_sha256, of.evidence_sha256)).decode(),
}
