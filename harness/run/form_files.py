"""The file in a run's folder that each form of ``harness report --as`` is written to; light, for the command line."""

from __future__ import annotations

from collections.abc import Mapping

FILES: Mapping[str, str] = {
    "html": "report.html",
    "markdown": "report.md",
    "badge": "badge.svg",
    "bom": "bom.json",
    "card": "card.md",
    "openmetrics": "metrics.txt",
    "predicate": "predicate.json",
    "statement": "statement.json",
}
