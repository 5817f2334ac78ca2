"""GitHub Actions: annotations for the log, and the outputs of a step. After the runner's own reading of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from harness.formatting import one_line
from harness.records import Finding, Run, Scope

MOST = 10  # annotations of a kind that GitHub shows of a step
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = _DATA | {":": "%3A", ",": "%2C"}


def issues(run: Run, root: Path) -> list[str]:
    """Write a line for each finding that did not pass, at most ``MOST`` of a kind. ``root``: of the repository."""
    return [order for kind, findings in kinds(run) for order in _orders(kind, findings, root)]


def step_outputs(run: Run, report: Path, code: int) -> dict[str, str]:
    """Return the outputs of the step, each on one line."""
    clean = [one for one in run.measurements if one.metric == "accuracy" and one.scope == Scope()]
    counts = run.verdict.counts
    outputs = {
        "verdict": run.verdict.word,
        "exit-code": str(code),
        "sentence": run.verdict.sentence,
        "failed": str(counts["failed"]),
        "warned": str(counts["warned"]),
        "accuracy": repr(clean[0].value) if clean else "",
        "model-sha256": run.model.sha256,
        "report": str(report),
    }
    return {name: one_line(text, 2000) for name, text in outputs.items()}


def order(kind: str, text: str, properties: Mapping[str, str] | None = None) -> str:
    """Write one order to the runner: ``::error file=a,line=1::text``."""
    given = ",".join(f"{name}={_escaped(value, _PROPERTY)}" for name, value in (properties or {}).items())
    return f"::{kind}{' ' + given if given else ''}::{_escaped(one_line(text, 1000), _DATA)}"


def place(finding: Finding, root: Path) -> tuple[str, str]:
    """Return file, relative to ``root``, and line of what asks; empty where the file is not below it."""
    name, _, line = finding.where.rpartition(":")
    try:
        path = Path(name).resolve()
        if name and path.is_file() and line.isdecimal():
            return path.relative_to(root.resolve()).as_posix(), line
    except (OSError, ValueError, RuntimeError):  # no name that a file can have, or not below
        pass
    return "", ""


def kinds(run: Run) -> tuple[tuple[str, list[Finding]], ...]:
    """Return the findings that did not pass: those that stop a release, then those that do not."""
    open_ = [one for one in run.findings if one.status != "passed" and one.kind != "control"]
    soft = [one for one in open_ if one.level == "warning" or one.waived]
    hard = [one for one in open_ if not (one.level == "warning" or one.waived)]
    broken = [one for one in run.findings if one.kind == "control" and one.status == "inconclusive"]
    return ("error", [*broken, *hard]), ("warning", soft)


def _orders(kind: str, findings: list[Finding], root: Path) -> Iterator[str]:
    shown: Iterable[Finding] = findings if len(findings) <= MOST else findings[: MOST - 1]
    for one in shown:
        file, line = place(one, root)
        at = {"file": file, "line": line} if file else {}
        yield order(kind, one.reason, {**at, "title": one_line(one.title, 120)})
    if len(findings) > MOST:
        yield order(kind, f"and {len(findings) - MOST + 1} more; see the report")


def _escaped(text: str, codes: Mapping[str, str]) -> str:
    return "".join(codes.get(character, character) for character in text)
