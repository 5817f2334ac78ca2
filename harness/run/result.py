"""The results of the public API: they answer by name and show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.evidence import baseline_file
from harness.formatting import one_line
from harness.judging.verdict import HEADLINES
from harness.metrics import change_table, evaluate
from harness.metrics.changes import difference as difference_of
from harness.metrics.display import difference, figure, interval, title
from harness.records import CLEAN, Finding, Matrix, Measurement, Scope, Verdict
from harness.records import Run as RunRecord
from harness.run.finished_run import FinishedRun, write


@dataclass(frozen=True)
class Frame:
    """A page that a notebook shows in a frame of its own, in which no script runs."""

    page: str
    height: int

    def _repr_html_(self) -> str:
        """Return the frame. Links inside the page need a base of their own, which its content policy must allow."""
        page = self.page.replace("<head>", '<head><base href="about:srcdoc">', 1)
        page = page.replace("base-uri 'none'", "base-uri about:", 1)
        style = f"width:100%;height:{self.height}px;border:0"
        return f'<iframe title="Release report" sandbox="" style="{style}" srcdoc="{escape(page)}"></iframe>'


@dataclass(frozen=True, repr=False)
class Result:
    """A finished run."""

    finished: FinishedRun
    out: Path | None  # the folder of the run, where it has one

    @property
    def run(self) -> RunRecord:
        """Return the record that every output is made from."""
        return self.finished.run

    @property
    def verdict(self) -> Verdict:
        """Return the verdict: its word, sentence, advice and exit code."""
        return self.run.verdict

    @property
    def allowed(self) -> bool:
        """Return whether the release is allowed, with or without warnings."""
        return self.verdict.exit_code == 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return the findings of all gates, checks and controls."""
        return self.run.findings

    @property
    def measurements(self) -> Measurements:
        """Return the measurements on the clean images, by name."""
        return Measurements(by_name(self.run.measurements), self.run.confusion)

    def __getitem__(self, name: str) -> Measurement:
        return self.measurements[name]

    def __bool__(self) -> bool:
        raise TypeError("a verdict is one of four; ask result.allowed")

    def html(self) -> str:
        """Return the report as one HTML page."""
        from harness import report

        return report.render(self.run, self.finished.evidence, self.finished.session, self.finished.qualification)

    def markdown(self, link: str = "") -> str:
        """Return verdict, what did not pass and the main numbers as Markdown; ``link``: address of the report."""
        from harness.report import markdown

        return markdown.render(self.run, link)

    def show(self, height: int = 800) -> Frame:
        """Return the whole report for a notebook to show, ``height`` pixels high."""
        return Frame(self.html(), height)

    def save(self, out: str | Path) -> None:
        """Write session.json, junit.xml, report.html and run.json into a folder."""
        Path(out).mkdir(parents=True, exist_ok=True)
        write(self.finished, Path(out))

    def __repr__(self) -> str:
        return "\n".join([self._head(), *(f"- {line}" for line in self._not_passed())])

    def _repr_html_(self) -> str:
        rows = "".join(f"<li>{escape(line)}</li>" for line in self._not_passed())
        advice = verdict_lines(self.run)[2]
        return f"<p><b>{escape(self._head())}</b></p><ul>{rows}</ul><p>{escape(advice)}</p>"

    def _head(self) -> str:
        return ": ".join(verdict_lines(self.run)[:2])

    def _not_passed(self) -> list[str]:
        return [
            one_line(f"{one.status.replace('_', ' ')}: {one.reason}") for one in self.findings if one.status != "passed"
        ]


@dataclass(frozen=True, repr=False)
class Measurements(Mapping[str, Measurement]):
    """Measurements by name: ``accuracy``, ``recall[7]``."""

    by_name: Mapping[str, Measurement]
    confusion: Matrix  # images by (true digit, predicted digit); last column: no answer

    def __getitem__(self, name: str) -> Measurement:
        if name not in self.by_name:
            raise NotMeasurable(f"there is no measurement {one_line(name, 60)!r}; there are {', '.join(self.by_name)}")
        return self.by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)

    def __repr__(self) -> str:
        wide = max((len(row[0]) for row in self._rows()), default=0)
        return "\n".join(f"{name:<{wide}}  {value}  {bounds}  n = {n}" for name, value, bounds, n in self._rows())

    def _repr_html_(self) -> str:
        table = _table(("metric", "value", "95 % interval", "n"), self._rows())
        digits = [str(digit) for digit in range(10)]
        cells = [[digit, *map(str, row)] for digit, row in zip(digits, self.confusion, strict=False)]
        return table + _table(("true, predicted", *digits, "none"), cells)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (name, figure(one.metric, one.value), interval(one), f"{one.n:,}") for name, one in self.by_name.items()
        ]


@dataclass(frozen=True, repr=False)
class Comparison:
    """Comparison of two finished runs on the same images: differences are ``after`` minus ``before``."""

    before: Result
    after: Result
    changes: tuple[Measurement, ...]
    newly_wrong: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))  # indices of clean images
    newly_right: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))

    def html(self) -> str:
        """Return a page with the images that changed."""
        from harness import report

        first, second = ((each.run, each.finished.evidence) for each in (self.before, self.after))
        return report.render_comparison(first, second, self.changes, self.newly_wrong, self.newly_right)

    def __repr__(self) -> str:
        return "\n".join("  ".join(row) for row in self._rows())

    def _repr_html_(self) -> str:
        return _table(("metric", "after minus before", "95 % interval"), self._rows())

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (title(one.metric, one.scope), difference(one.metric, one.value), interval(one)) for one in self.changes
        ]


def verdict_lines(run: RunRecord) -> tuple[str, str, str]:
    """Return the headline, the sentence and the advice of a verdict, each on one printable line."""
    verdict = run.verdict
    return HEADLINES[verdict.word], one_line(verdict.sentence, 2000), one_line(verdict.advice, 2000)


def compared(before: Result, after: Result) -> Comparison:
    """Compare two finished runs image by image. NotMeasurable where they have no image in common."""
    last, evidence = before.finished.evidence, after.finished.evidence
    pair = replace(evidence, baseline=baseline_file.of(last))
    differences = change_table(evaluate(pair, ()))
    if not differences:
        difference_of(pair, "accuracy", Scope())  # raises the reason
    if not differences or CLEAN not in last.answers or CLEAN not in evidence.answers:
        return Comparison(before, after, differences)
    ours, theirs = (each.answers[CLEAN] == evidence.labels for each in (evidence, last))
    return Comparison(before, after, differences, np.flatnonzero(theirs & ~ours), np.flatnonzero(ours & ~theirs))


def by_name(measurements: tuple[Measurement, ...]) -> dict[str, Measurement]:
    """Name the measurements on the clean images that are of all digits or of one."""
    named = {}
    for one in measurements:
        if one.scope == Scope(digit=one.scope.digit):
            named[one.metric if one.scope.digit is None else f"{one.metric}[{one.scope.digit}]"] = one
    return named


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]] | list[list[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
