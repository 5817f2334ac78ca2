"""Output of the commands: a verdict on stdout, progress on stderr where a person watches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.evidence.sweep import Progress
from harness.formatting import command_line, json_text, one_line
from harness.judging.verdict import HEADLINES
from harness.metrics.display import difference, drawn_as, exceptions, figure, interval, requirement
from harness.records import Finding, Measurement, Run, Scope, Word
from harness.run.publish import publish

if TYPE_CHECKING:
    from harness.run.batch import Outcome

_COLOURS: dict[Word, str] = {
    "allowed": "bold green",
    "allowed_with_warnings": "bold yellow",
    "blocked": "bold red",
    "no_verdict": "bold magenta",
}
BLOCKED, NO_VERDICT = 1, 5  # exit codes
_MOST_ROWS = 20
_LONG = 2000  # characters of a sentence that may come from a file
_TABLE_WIDTH = 100  # columns; on a narrower terminal six columns of words are no table


def today() -> date:
    """Return the day in UTC, which waivers are held against."""
    return datetime.now(UTC).date()


def exit_code(code: int, *, no_verdict_is_failure: bool) -> int:
    """Return the exit code of a command; no verdict is 1 where that is asked for."""
    return BLOCKED if no_verdict_is_failure and code == NO_VERDICT else code


def verdict(
    run: Run, out: Path, *, as_json: bool, quiet: bool, no_verdict_is_failure: bool = False, ci: str = "auto"
) -> int:
    """Print the verdict of ``run`` in the form asked for; returns the exit code.

    ``ci``: none where the system that runs the job is told nothing.
    """
    code = exit_code(run.verdict.exit_code, no_verdict_is_failure=no_verdict_is_failure)
    _publish(run, out, code, ci)
    if as_json:
        click.echo(json_text(_summary(run, out, code)))
        return code
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(HEADLINES[run.verdict.word], style=_COLOURS[run.verdict.word]))
    if quiet:
        return code
    console.print(Text(one_line(run.verdict.sentence, _LONG)))
    if run.data.trained_on:
        console.print(Text(f"Trained on, as declared: {one_line(run.data.trained_on, _LONG)}"))
    for word, text in exceptions(run.findings):
        console.print(Text(f"{word}: {one_line(text, _LONG)}"))
    open_ = [finding for finding in run.findings if finding.status != "passed"]
    if open_:
        shown = sorted(open_, key=lambda one: one.urgency)
        if _wide().width >= _TABLE_WIDTH:
            heads = ("result", "gate or check", "measured", "bounds", "required", "margin")
            table(heads, _rows(shown), right=("margin",))
        else:
            console.print(Text("\n".join(_lines(shown))))
    console.print(Text(one_line(run.verdict.advice, _LONG)))
    if drawn := drawn_as(run.sampling, run.data.n):
        console.print(Text(one_line(drawn, _LONG)))
    repeat = run.command if run.command.isprintable() and len(run.command) < 4 * _LONG else one_line(run.command, _LONG)
    console.print(Text(f"\nreport: {command_line([str(out / 'report.html')])}\nrepeat: {repeat}"))
    return code


def _publish(run: Run, out: Path, code: int, ci: str) -> None:
    """Show the run to the system that runs the job; what its log obeys goes past what keeps others from orders."""
    orders = publish(run, out, code, os.environ) if ci == "auto" else []
    log = getattr(sys.stderr, "stream", sys.stderr)
    for order in orders:
        print(order, file=log, flush=True)


def outcomes(
    many: Sequence[Outcome], *, as_json: bool, quiet: bool, no_verdict_is_failure: bool = False, ci: str = "auto"
) -> None:
    """Print what became of each candidate: a row, or its verdict only, or all as a JSON list."""
    for one in many:
        if one.run is not None:
            code = exit_code(one.run.verdict.exit_code, no_verdict_is_failure=no_verdict_is_failure)
            _publish(one.run, one.out, code, ci)
    if as_json:
        listed = [_outcome(one, exit_code(one.exit_code, no_verdict_is_failure=no_verdict_is_failure)) for one in many]
        click.echo(json_text(listed))
        return
    console = Console(highlight=False, soft_wrap=True)
    if quiet:
        for one in many:
            console.print(Text(f"{HEADLINES[one.run.verdict.word] if one.run else 'Unusable'}: {_path(one.model)}"))
        return
    rows: list[Sequence[str | Text]] = []
    for one in many:
        if one.run is None:
            rows.append((_path(one.model), Text("Unusable", style="bold red"), "", "", one_line(one.error, 160)))
            continue
        clean = [m for m in one.run.measurements if m.metric == "accuracy" and m.scope == Scope()]
        open_ = sum(finding.status != "passed" for finding in one.run.findings)
        headline = Text(HEADLINES[one.run.verdict.word], style=_COLOURS[one.run.verdict.word])
        accuracy = figure("accuracy", clean[0].value) if clean else ""
        rows.append((_path(one.model), headline, accuracy, str(open_), _path(one.out / "report.html")))
    table(("candidate", "verdict", "accuracy", "not passed", "report, or why there is none"), rows)
    for one in many:
        if one.run is not None and one.run.verdict.word != "allowed":
            console.print(Text(f"{_path(one.model)}: {one_line(one.run.verdict.sentence, _LONG)}"))


def _path(path: Path) -> Text:
    return Text(command_line([str(path)]))


def _outcome(one: Outcome, code: int) -> dict[str, object]:
    if one.run is not None:
        return {**_summary(one.run, one.out, code), "file": str(one.model)}
    return {"verdict": None, "exit_code": code, "error": one.error, "file": str(one.model)}


@contextmanager
def progress(what: str, unit: str = "images") -> Iterator[Progress]:
    """Show a bar with the time left on a terminal; nothing in a log."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn(f"{what}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _summary(run: Run, out: Path, code: int) -> dict[str, object]:
    return {
        "verdict": run.verdict.word,
        "exit_code": code,
        "sentence": run.verdict.sentence,
        "counts": dict(run.verdict.counts),
        "model": {"name": run.model.name, "sha256": run.model.sha256},
        "data": {"name": run.data.name, "sha256": run.data.sha256, "n": run.data.n}
        | ({"trained_on": run.data.trained_on} if run.data.trained_on else {}),
        "policy": {"name": run.policy.name, "file": run.policy.file, "sha256": run.policy.sha256},
        "baseline": {"name": run.baseline.model, "sha256": run.baseline.sha256} if run.baseline else None,
        "accuracy": _numbers(run.measurements),
        "change_of_accuracy": _numbers(run.changes),
        "not_passed": [
            {"id": f.id, "status": f.status, "level": f.level, "reason": f.reason, "where": f.where}
            | ({"waived_until": f.waiver.until} if f.waived and f.waiver else {})
            for f in run.findings
            if f.status != "passed"
        ],
        "report": str(out / "report.html"),
        "run": str(out / "run.json"),
    }


def _numbers(measured: Sequence[Measurement]) -> dict[str, float] | None:
    """Return the accuracy on the clean images, or its change, with its 95 % interval; None where there is none."""
    found = next((one for one in measured if one.metric == "accuracy" and one.scope == Scope()), None)
    return None if found is None else {name: getattr(found, name) for name in ("value", "low", "high", "n")}


def _result(finding: Finding) -> str:
    status = finding.status.replace("_", " ")
    return f"{status}, waived" if finding.waived else status if finding.level == "required" else "warning"


def _lines(findings: Sequence[Finding]) -> list[str]:
    lines = [f"{_result(finding)}: {one_line(finding.reason)}" for finding in findings[:_MOST_ROWS]]
    return lines if len(findings) <= _MOST_ROWS else [*lines, f"and {len(findings) - _MOST_ROWS} more in the report"]


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str | Text]], *, right: Sequence[str] = (), log_width: int = 160
) -> None:
    """Print rows under heads, ``log_width`` columns wide where nobody watches."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for head in heads:
        drawn.add_column(head, justify="right" if head in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    _wide(log_width).print(drawn)


def _wide(log_width: int = 160) -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = log_width
    return console


def _rows(findings: Sequence[Finding]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for finding in findings[:_MOST_ROWS]:
        result, title = _result(finding), one_line(finding.title, 80)
        if finding.gate is None or finding.measurement is None:
            reason = finding.reason
            for start in (f"{finding.title}: ", f"{finding.title} was not evaluated: ", f"{finding.title} "):
                reason = reason.removeprefix(start)
            rows.append((result, title, one_line(reason, 160), "", "", ""))
            continue
        gate, measured = finding.gate, finding.measurement
        value = figure(gate.metric, measured.value, gate.threshold, gate.against)
        margin = "" if finding.margin is None else difference(gate.metric, finding.margin)
        rows.append((result, title, value, interval(measured, gate.threshold), requirement(gate), margin))
    if len(findings) > _MOST_ROWS:
        rows.append(("", f"and {len(findings) - _MOST_ROWS} more in the report", "", "", "", ""))
    return rows
