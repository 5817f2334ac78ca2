"""Findings of the suites' checks: as written, and as each check ended."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest


class GateWarning(UserWarning):
    """A gate or check of level "warning" did not pass."""


if TYPE_CHECKING:
    from harness.records import Finding, Images, InputContract


def written(path: Path) -> Iterator[Finding]:
    """Read the checks of a suite without importing it, each as it is if it never runs."""
    from harness.formatting import one_line
    from harness.records import Finding

    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            title = node.name.removeprefix("test_").replace("_", " ")
            advisory = any(ast.unparse(mark) == "pytest.mark.advisory" for mark in node.decorator_list)
            yield Finding(
                id=f"check/{path.name}::{node.name}",
                kind="check",
                title=title,
                status="not_evaluated",
                reason=f"{title} was not evaluated: it did not run",
                level="warning" if advisory else "required",
                because=one_line(ast.get_docstring(node) or "", 300),
                where=f"{path.name}:{node.lineno}",
            )


def worded(finding: Finding, fed: InputContract) -> Finding:
    """Give a check the title and the reason that it has under the candidate's contract."""
    from harness.checks import contract

    words = contract.words(fed, finding.id.rpartition("::")[2])
    if words is None:
        return finding
    title, because = words
    return replace(finding, title=title, because=because, reason=f"{title} was not evaluated: it did not run")


def set_aside(finding: Finding, report: pytest.TestReport, path: Path) -> None:
    """Report a waived failure as skipped, which is no pass."""
    report.outcome, report.longrepr = "skipped", (str(path), 1, f"Skipped: {waived(finding)}")


def waived(finding: Finding) -> str:
    """Describe a waived finding in a line."""
    from harness.formatting import one_line

    until = finding.waiver.until if finding.waiver else ""
    return one_line(f"{finding.status}, waived until {until}: {finding.reason}", 400)


def found(
    expected: Finding, call: pytest.CallInfo[None], report: pytest.TestReport, shown: Sequence[Images] = ()
) -> Finding:
    """Make the finding of a check that ran; ``shown``: pictures that it handed out, whatever its outcome."""
    from harness.errors import Inconclusive, NotMeasurable, Refused, SubjectFault
    from harness.formatting import one_line

    error = _cause(call.excinfo.value if call.excinfo else None, (AssertionError, SubjectFault, Refused))
    text = one_line(_first_line(error), 400)
    match error:
        case None if report.passed:
            return replace(expected, status="passed", reason=f"{expected.title}: holds", exhibits=_packed(shown))
        case Inconclusive():
            return replace(expected, status="inconclusive", reason=text)
        case AssertionError() | SubjectFault() | Refused():
            exhibits = _packed(shown) or _packed(_failing(call)[:4])
            return replace(expected, status="failed", reason=f"{expected.title}: {text}", exhibits=exhibits)
        case NotMeasurable():
            return undecided(expected, text)
        case _:
            return undecided(expected, outcome(report))


def outcome(report: pytest.TestReport) -> str:
    """Describe in one line what pytest reports of an item that did not simply pass."""
    lines = report.longreprtext.strip().splitlines()
    why = "it was skipped" if report.skipped else f"it broke in its {report.when}"
    return f"{why}: {lines[-1]}" if lines else why


def _cause(error: BaseException | None, wanted: tuple[type[BaseException], ...]) -> BaseException | None:
    """Choose the error to name: of several in a group, one that is a failure rather than an accident."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    causes = [_cause(inner, wanted) for inner in error.exceptions]
    return next((cause for cause in causes if isinstance(cause, wanted)), causes[0])


def only_warn(finding: Finding, report: pytest.TestReport, path: Path) -> None:
    """Let an advisory check pass with a warning; where warnings are errors, it stays failed."""
    try:
        warnings.warn_explicit(GateWarning(finding.reason), None, str(path), 1)
    except GateWarning:
        return
    report.outcome, report.longrepr = "passed", None


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _failing(call: pytest.CallInfo[None]) -> Sequence[Images]:
    """Return the images of the failing example: the local ``images`` where the check failed."""
    import numpy as np

    assert call.excinfo is not None
    for entry in reversed(call.excinfo.traceback):
        images = entry.frame.f_locals.get("images")
        if isinstance(images, np.ndarray) and images.shape[1:] == (28, 28) and images.dtype == np.uint8:
            return list(images)
    return ()


def _packed(images: Sequence[Images]) -> tuple[str, ...]:
    import base64

    return tuple(base64.b64encode(image.tobytes()).decode() for image in images)


def undecided(expected: Finding, why: str) -> Finding:
    """Make the finding of a check that decided nothing."""
    from harness.formatting import one_line

    return replace(expected, reason=one_line(f"{expected.title} was not evaluated: {why}", 400))
