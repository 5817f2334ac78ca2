"""JUnit: the same counts as the verdict, well-formed whatever it holds, and nothing undecided reads as a pass."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.outputs import junit
from harness.records import Run
from tests.support import samples

SAMPLES = (samples.allowed, samples.warned, samples.blocked, samples.no_verdict, samples.dead, samples.mute)
each_sample = pytest.mark.parametrize("make", SAMPLES, ids=lambda make: str(make.__name__))


def suite(run: Run) -> ET.Element:
    found = ET.fromstring(junit.render(run)).find("testsuite")
    assert found is not None
    return found


def tags(case: ET.Element) -> set[str]:
    return {child.tag for child in case} - {"properties"}


@each_sample
def test_the_counts_are_the_verdicts_and_those_of_the_cases(make: Callable[[], samples.Sample]) -> None:
    run, _ = make()
    counts = run.verdict.counts
    found = suite(run)

    stated = [int(found.attrib[name]) for name in ("tests", "failures", "errors")]

    assert stated == [len(run.findings), counts["failed"], counts["inconclusive"] + counts["not_evaluated"]]
    assert stated == [len(found.findall("testcase")), len(found.findall(".//failure")), len(found.findall(".//error"))]


@each_sample
def test_the_root_repeats_the_counts_of_its_only_suite(make: Callable[[], samples.Sample]) -> None:
    root = ET.fromstring(junit.render(make()[0]))

    assert len(root) == 1
    assert [root.attrib[name] == root[0].attrib[name] for name in ("tests", "failures", "errors")] == [True] * 3


@each_sample
def test_a_case_without_a_mark_is_a_finding_that_passed(make: Callable[[], samples.Sample]) -> None:
    run, _ = make()

    marks = [tags(case) for case in suite(run).iter("testcase")]

    marked = {"failed": {"failure"}, "inconclusive": {"error"}, "not_evaluated": {"error"}, "passed": set[str]()}
    expected = [
        {"system-out"} if found.level == "warning" and found.status != "passed" else marked[found.status]
        for found in run.findings
    ]
    assert marks == expected


def test_nothing_is_skipped_because_a_skip_reads_as_harmless() -> None:
    assert all(b"skipped" not in junit.render(make()[0]) for make in SAMPLES)


def test_a_gate_carries_its_measurement_and_its_rule() -> None:
    run, _ = samples.blocked()
    finding = next(found for found in run.findings if found.gate is not None)
    assert finding.measurement is not None
    assert finding.gate is not None
    case = next(case for case in suite(run).iter("testcase") if case.attrib["name"] == finding.gate.id)

    facts = {held.attrib["name"]: held.attrib["value"] for held in case.iter("property")}

    assert (float(facts["value"]), float(facts["low"])) == (finding.measurement.value, finding.measurement.low)
    assert (facts["rule"], float(facts["threshold"])) == (finding.gate.rule, finding.gate.threshold)


def test_a_failure_says_the_reason() -> None:
    run, _ = samples.blocked()

    said = {mark.attrib["message"] for mark in suite(run).iter("failure")}

    assert said == {found.reason for found in run.findings if found.status == "failed" and found.level == "required"}


def test_equal_runs_give_equal_bytes() -> None:
    run, _ = samples.blocked()

    assert junit.render(run) == junit.render(replace(run, findings=tuple(run.findings)))


def test_hostile_names_are_text_and_nothing_else() -> None:
    run, _ = samples.blocked()
    text = samples.NASTY
    findings = tuple(replace(found, id=text, reason=text, where=text) for found in run.findings)

    found = ET.fromstring(junit.render(replace(run, findings=findings, policy=replace(run.policy, name=text))))

    assert {element.tag for element in found.iter()} <= {
        "testsuites", "testsuite", "testcase", "properties", "property", "failure", "error", "system-out",
    }  # fmt: skip


@given(text=st.text(st.characters()))
@settings(max_examples=60, deadline=None)
def test_it_is_well_formed_whatever_a_text_holds(text: str) -> None:
    run, _ = samples.blocked()
    finding = replace(run.findings[0], id=text, reason=text, where=text, status="failed")

    found = suite(replace(run, findings=(finding,), policy=replace(run.policy, name=text)))

    assert len(found.findall("testcase")) == 1
