"""Run -> JUnit XML: a test case per finding, the measurement as properties; nothing undecided reads as a pass."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from harness.records import Finding, Run, SessionFacts

_LONGEST = 2000  # characters of one text


def render(run: Run, session: SessionFacts | None = None) -> bytes:
    """Write ``failure`` where a required finding failed, ``error`` where it is undecided, ``skipped`` where it is
    waived; warnings are text.

    Readers ask for times: without ``session`` they are those of the epoch, so that equal runs give equal bytes.
    """
    counts = run.verdict.counts
    undecided = counts["inconclusive"] + counts["not_evaluated"]
    totals = {"tests": str(len(run.findings)), "failures": str(counts["failed"]), "errors": str(undecided)}
    totals["time"] = f"{sum(session.seconds.values()) if session else 0:.3f}"
    if "waived" in counts:
        totals["skipped"] = str(counts["waived"])
    root = ET.Element("testsuites", {"name": "harness", **totals})
    suite = ET.SubElement(root, "testsuite", {"name": _clean(run.policy.name), **totals})
    suite.set("timestamp", session.when.rstrip("Z") if session else "1970-01-01T00:00:00")
    _properties(suite, {"verdict": run.verdict.word, "sentence": run.verdict.sentence, "model": run.model.sha256})
    for finding in run.findings:
        suite.append(_case(finding))
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(finding: Finding) -> ET.Element:
    kind, _, name = finding.id.partition("/")
    case = ET.Element("testcase", classname=f"harness.{_clean(kind)}", name=_clean(name), file=_clean(finding.where))
    case.set("time", "0.000")
    facts: dict[str, object] = {"status": finding.status, "level": finding.level}
    if finding.measurement is not None:
        measured = finding.measurement
        facts |= {"value": measured.value, "low": measured.low, "high": measured.high, "n": measured.n}
    if finding.gate is not None:
        facts |= {"rule": finding.gate.rule, "threshold": finding.gate.threshold, "decide": finding.gate.decide}
        if finding.gate.kind:
            facts |= {"kind": finding.gate.kind, "answer": finding.answer}
    if finding.lowered:
        facts["lowered_because"] = finding.lowered.because
    _properties(case, facts)
    if finding.status != "passed":
        tag = "failure" if finding.status == "failed" else "error"
        if finding.waived and finding.waiver:
            until = f"waived until {finding.waiver.until} by {finding.waiver.by}, because {finding.waiver.because}"
            ET.SubElement(case, "skipped", type=finding.status, message=_clean(f"{until}: {finding.reason}"))
        elif finding.level == "warning":
            ET.SubElement(case, "system-out").text = _clean(f"warning: {finding.reason}")
        else:
            ET.SubElement(case, tag, type=finding.status, message=_clean(finding.reason))
    return case


def _properties(parent: ET.Element, facts: dict[str, str] | dict[str, object]) -> None:
    holder = ET.SubElement(parent, "properties")
    for name, value in facts.items():
        ET.SubElement(holder, "property", name=name, value=_clean(str(value)))


def _clean(text: str) -> str:
    kept = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in kept)
