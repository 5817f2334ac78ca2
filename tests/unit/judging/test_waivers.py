"""A waived finding stops no release, is counted apart, and never reads as a pass."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import UsageError
from harness.judging import verdict
from harness.metrics.display import exceptions
from harness.outputs import junit, run_json
from harness.records import Finding, Level, Lowering, Run, Status, Waiver
from harness.run import build_run
from tests.support import samples

WAIVER = Waiver("2027-01-31", "Ada", "the new hall opens in February", "p.toml:9")
LOWERING = Lowering("a plain chain all the same", "p.toml:15")


def check(status: Status, name: str = "one", waiver: Waiver | None = None, lowered: Lowering | None = None) -> Finding:
    level: Level = "warning" if lowered else "required"
    return Finding(
        f"check/{name}", "check", f"the {name}", status, f"the {name}: {status}", level, waiver=waiver, lowered=lowered
    )  # fmt: skip


@pytest.mark.parametrize(
    ("findings", "word"),
    [
        ([check("failed", waiver=WAIVER), check("passed")], "allowed_with_warnings"),
        ([check("inconclusive", waiver=WAIVER), check("passed")], "allowed_with_warnings"),
        ([check("not_evaluated", waiver=WAIVER), check("passed")], "no_verdict"),
        ([check("failed", waiver=WAIVER), check("failed", "two")], "blocked"),
        ([check("failed", waiver=WAIVER), check("inconclusive", "two")], "no_verdict"),
        ([check("failed", waiver=WAIVER)], "no_verdict"),
        ([check("failed", lowered=LOWERING), check("passed")], "allowed_with_warnings"),
        ([check("passed", lowered=LOWERING), check("passed")], "allowed"),
    ],
)
def test_the_verdict_with_exceptions(findings: list[Finding], word: str) -> None:
    assert verdict.of(findings).word == word


def test_a_waived_failure_is_counted_apart_and_named_first() -> None:
    judged = verdict.of(
        [check("failed", waiver=WAIVER), check("passed", "two"), check("failed", "three", None, LOWERING)]
    )

    assert judged.counts == {"passed": 1, "failed": 0, "inconclusive": 0, "not_evaluated": 0, "warned": 1, "waived": 1}
    assert judged.sentence == (
        "1 check passed. 1 finding that did not pass is waived; first, until 2027-01-31: the one: failed. "
        "1 warning besides."
    )


def test_without_waivers_nothing_is_counted_as_waived() -> None:
    assert "waived" not in verdict.of([check("failed")]).counts


def test_the_exceptions_of_another_policy_replace_those_of_the_last() -> None:
    lowered = check("failed").ruled({"check/one": LOWERING}, {})

    again = lowered.ruled({}, {"check/one": WAIVER})

    assert (lowered.level, lowered.lowered, lowered.waived) == ("warning", LOWERING, False)
    assert (again.level, again.lowered, again.waived) == ("required", None, True)


def test_exceptions_are_said_with_who_until_when_why_and_where() -> None:
    found = exceptions([check("passed", "two", lowered=LOWERING), check("failed", waiver=WAIVER), check("passed")])

    assert found == (
        ("Waived", "the one failed; until 2027-01-31, by Ada, because the new hall opens in February (p.toml:9)"),
        ("Only warns", "the two (passed), because a plain chain all the same (p.toml:15)"),
    )


def excused() -> Run:
    """The blocked sample, whose one failing check is waived, with a check that only warns."""
    run, _ = samples.blocked()
    failing = next(one for one in run.findings if one.kind == "check" and one.status == "failed")
    findings = tuple(
        replace(one, waiver=WAIVER) if one is failing else
        replace(one, lowered=LOWERING, level="warning") if one.id.endswith("::4") else one
        for one in run.findings
    )  # fmt: skip
    return replace(run, findings=findings, verdict=verdict.of(findings, run.suspects))


def test_junit_shows_a_waived_failure_as_skipped_which_is_no_pass() -> None:
    root = ET.fromstring(junit.render(excused()))
    skipped = root.findall(".//skipped")

    assert [one.attrib["message"].partition(": ")[0] for one in skipped] == [
        "waived until 2027-01-31 by Ada, because the new hall opens in February"
    ]
    assert root.attrib["skipped"] == root[0].attrib["skipped"] == "1"


def test_run_json_holds_exceptions_and_is_read_back(tmp_path: Path) -> None:
    run, path = excused(), tmp_path / "run.json"
    path.write_bytes(run_json.dump(run))

    assert run_json.load(path) == run
    assert b'"by": "Ada"' in path.read_bytes()


def test_a_run_without_exceptions_and_with_the_usual_input_has_no_word_of_them() -> None:
    content = run_json.dump(samples.blocked()[0])

    assert [name for name in (b'"waiver"', b'"lowered"', b'"contract"', b'"waived"') if name in content] == []


@pytest.mark.parametrize(("status", "level"), [("passed", "required"), ("failed", "warning")])
def test_a_waiver_that_waives_nothing_is_refused_when_the_run_has_ended(status: Status, level: str) -> None:
    rules: Any = SimpleNamespace(waivers={"check/one": WAIVER})
    finding = replace(check(status), level=level)  # type: ignore[arg-type]

    with pytest.raises(UsageError, match=r"^p\.toml:9: the waiver of check/one matches nothing that did not pass"):
        build_run._check_waivers(rules, [finding])
