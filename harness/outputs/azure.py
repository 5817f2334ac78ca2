"""Azure Pipelines: issues of a run and its summary, as orders in the log."""

from __future__ import annotations

from pathlib import Path

from harness.formatting import one_line
from harness.outputs import github
from harness.records import Run

_CODES = {"%": "%AZP25", ";": "%3B", "]": "%5D", "\r": "%0D", "\n": "%0A"}


def issues(run: Run, root: Path) -> list[str]:
    """Write a line for each finding that did not pass. ``root``: of the repository."""
    return [_issue(kind, one.reason, *github.place(one, root)) for kind, many in github.kinds(run) for one in many]


def summary(file: Path) -> str:
    """Write the order that shows a Markdown file beside the run."""
    return f"##vso[task.uploadsummary]{_escaped(str(file.resolve()))}"


def _issue(kind: str, text: str, file: str, line: str) -> str:
    at = f"sourcepath={_escaped(file)};linenumber={line};" if file else ""
    return f"##vso[task.logissue type={kind};{at}]{_escaped(one_line(text, 1000))}"


def _escaped(text: str) -> str:
    return "".join(_CODES.get(character, character) for character in text)
