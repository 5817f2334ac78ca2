"""A run as Markdown: the summary of a job, a comment, a note. Only our own tags come out of any parser."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.formatting import count, one_line
from harness.metrics.display import difference, exceptions, figure, interval, requirement
from harness.records import Finding, Run, Scope
from harness.report.facts import VERDICTS

LIMIT = 64_000  # bytes; GitHub takes comments of 65,536 characters
_ROWS = (60, 20, 5, 0)
_HEADS = "| result | gate or check | measured | bounds | required |\n|---|---|---|---|---|"
_SPECIAL = re.compile(r"[\\`*_{}\[\]()#+\-.!|~>:@$<&\"'=^/]")
_LINKED = re.compile(r"([@#])(?=\w)|(?<=\w)([@.:/])(?=\w)|(www|https?|ftp|mailto|xmpp)(?=[.:])", re.IGNORECASE)


def render(run: Run, link: str = "", limit: int = LIMIT) -> str:
    """Write the verdict, what did not pass, the headline numbers and the hashes, with as many rows as the limit takes.

    ``link``: address of the report. ``limit``: bytes; where they do not take the sentence, there is the headline only.
    """
    for rows in _ROWS:
        parts = [part for part in _parts(run, rows, link) if part]
        text = "\n\n".join(parts) + "\n"
        if len(text.encode()) <= limit:
            return text
    return f"{parts[0]}\n\n{parts[-1]}\n"


def escaped(text: str, limit: int = 300) -> str:
    """Write outside text so that no parser finds markup, a mention or a link in it."""
    broken = _LINKED.sub(lambda found: f"{found[0]}\N{WORD JOINER}", one_line(text, limit))
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", broken)


def code(text: str, limit: int = 120) -> str:
    """Write outside text as a code span."""
    flat = one_line(text, limit).strip() or "?"
    fence = "`" * (1 + max(map(len, re.findall("`+", flat)), default=0))
    space = " " if "`" in flat else ""
    return f"{fence}{space}{flat}{space}{fence}"


def _parts(run: Run, rows: int, link: str) -> Sequence[str]:
    icon, word, _ = VERDICTS[run.verdict.word]
    open_ = sorted((one for one in run.findings if one.status != "passed"), key=lambda one: one.urgency)
    passed = [one for one in run.findings if one.status == "passed" and one.kind != "control"]
    folded = f"<details><summary>{len(passed)} passed</summary>\n\n{_table(passed, rows)}\n\n</details>"
    policy, data = code(run.policy.file, 80), code(run.data.name, 80)
    hashes = (run.model.sha256, run.policy.sha256, run.data.sha256)
    model, rules, digits = (escaped(each[:10]) for each in hashes)
    images = count(run.data.n, "image")
    return (
        f"### {icon} {word}: {code(run.model.name)}",
        escaped(run.verdict.sentence, 2000),
        "\n".join(f"- {name}: {escaped(text, 500)}" for name, text in exceptions(run.findings)[:12]),
        _table(open_, rows),
        _numbers(run),
        folded if passed and rows else "",
        escaped(run.verdict.advice, 2000),
        f"[Report](<{link}>)" if link else "",
        f"<sub>model {model}, policy {policy} {rules}, data {data} {digits}, {images}, seed {run.seed}</sub>",
    )


def _table(findings: Sequence[Finding], most: int) -> str:
    if not findings or not most:
        return f"{len(findings)} more in the report" if findings else ""
    more = len(findings) - most
    last = [f"| | and {more} more in the report | | | |"] if more > 0 else []
    return "\n".join([_HEADS, *map(_row, findings[:most]), *last])


def _row(finding: Finding) -> str:
    result = finding.status.replace("_", " ")
    result = f"{result}, waived" if finding.waived else result
    result = f"warning, {result}" if finding.level == "warning" and finding.status != "passed" else result
    title, gate, measured = escaped(finding.title, 120), finding.gate, finding.measurement
    if gate is None or measured is None:
        reason = "" if finding.status == "passed" else escaped(finding.reason.removeprefix(f"{finding.title}: "), 200)
        return f"| {result} | {title} | {reason} | | |"
    value = figure(gate.metric, measured.value, gate.threshold, gate.against)
    bounds = interval(measured, gate.threshold)
    return f"| {result} | {title} | {value} | {bounds} | {requirement(gate)} |"


def _numbers(run: Run) -> str:
    """Write accuracy and the worst digit with their intervals, and the change against the last release."""
    clean = {one.metric: one for one in run.measurements if one.scope == Scope()}
    change = {one.metric: one for one in run.changes if one.scope == Scope()}
    lines = []
    for metric in ("accuracy", "worst_class_recall", "log_loss", "mean_corruption_accuracy"):
        if (one := clean.get(metric)) is None:
            continue
        text = f"- {metric.replace('_', ' ')} **{figure(metric, one.value)}** ({interval(one)})"
        if (beside := change.get(metric)) is not None:
            text += f", against the last release {difference(metric, beside.value)} ({interval(beside)})"
        lines.append(text)
    return "\n".join(lines)
