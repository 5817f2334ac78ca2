"""Verdicts: one word, one sentence, one exit code; and nothing worse is ever judged more kindly."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.judging import verdict
from harness.judging.gates import judge
from harness.records import Finding, Gate, Measurement, Scope, Status, Suspect, Suspects, Word
from harness.statistics import intervals

STATUSES: tuple[Status, ...] = get_args(Status)
KINDEST_FIRST: tuple[Status, ...] = ("passed", "inconclusive", "not_evaluated", "failed")


def check(status: Status = "passed", name: str = "one", **rest: object) -> Finding:
    return Finding(f"check/{name}", "check", name, status, f"{name}: {status}", where="test_x.py:3", **rest)  # type: ignore[arg-type]


def gate(hits: int, threshold: float = 0.95, *, name: str = "g", digit: int | None = None, n: int = 1000) -> Finding:
    metric = "accuracy" if digit is None else "recall"
    rule = Gate(name, metric, "at_least", threshold, "a reason", Scope(digit=digit), file="p.toml", line=4)
    return judge(Measurement(metric, hits / n, *intervals.exact(hits, n), n, Scope(digit=digit), hits), rule)


def warned(finding: Finding) -> Finding:
    return replace(finding, level="warning")


any_finding = st.builds(
    Finding,
    id=st.just("x"),
    kind=st.sampled_from(["gate", "check"]),
    title=st.just("a title"),
    status=st.sampled_from(STATUSES),
    reason=st.just("a reason"),
    level=st.sampled_from(["required", "warning"]),
    margin=st.none() | st.floats(-1, 1),
    images_needed=st.none() | st.integers(1, 10**7),
)  # fmt: skip


@pytest.mark.parametrize(
    ("findings", "word", "code"),
    [
        ([check()], "allowed", 0),
        ([gate(990), check()], "allowed", 0),
        ([check(), warned(check())], "allowed", 0),
        ([check(), warned(check("failed"))], "allowed_with_warnings", 0),
        ([check(), warned(check("inconclusive"))], "allowed_with_warnings", 0),
        ([check(), warned(check("not_evaluated"))], "allowed_with_warnings", 0),
        ([check(), warned(gate(100))], "allowed_with_warnings", 0),
        ([check("failed")], "blocked", 1),
        ([gate(800), check()], "blocked", 1),
        ([check("failed"), check("inconclusive"), warned(check("failed"))], "blocked", 1),
        ([check(), check("inconclusive")], "no_verdict", 5),
        ([check(), check("not_evaluated")], "no_verdict", 5),
        ([gate(955), warned(check("failed"))], "no_verdict", 5),
        ([], "no_verdict", 5),
        ([warned(check())], "no_verdict", 5),
        ([warned(check("failed"))], "no_verdict", 5),
    ],
)
def test_findings_give_a_word_and_its_exit_code(findings: list[Finding], word: Word, code: int) -> None:
    given_by = verdict.of(findings)

    assert (given_by.word, given_by.exit_code) == (word, code)


def test_a_doubt_about_the_digits_goes_before_the_gates_that_failed_on_them() -> None:
    doubt = replace(check("inconclusive"), reason="digits seen before? Look")

    said = verdict.of([doubt, gate(800), check()])

    assert said.advice.startswith("Do not release. Settle that doubt first; ")
    assert said.sentence.startswith("Digits seen before? Look. Besides, 1 of 1 required gate failed. Worst: ")


def test_a_check_that_failed_goes_before_one_that_could_not_tell() -> None:
    said = verdict.of([check("inconclusive"), gate(800), check("failed")]).sentence

    assert said.startswith("1 of 2 required checks failed. First: one: failed")


def test_all_is_said_of_more_than_one() -> None:
    several, one = [gate(990, name="a"), gate(991, name="b"), check(), check()], [gate(990), check(), check()]

    assert verdict.of(several).sentence.startswith("All 2 gates and 2 checks passed.")
    assert verdict.of(one).sentence.startswith("1 gate and 2 checks passed.")


@pytest.mark.parametrize("word", get_args(Word))
def test_every_word_has_a_headline_and_an_exit_code(word: Word) -> None:
    assert word in verdict.HEADLINES
    assert word in verdict.EXIT_CODES


@settings(deadline=None)
@given(findings=st.lists(any_finding, max_size=6))
def test_released_means_that_something_was_required_and_all_of_it_passed(findings: list[Finding]) -> None:
    required = [finding.status for finding in findings if finding.level == "required"]

    assert (verdict.of(findings).exit_code == 0) == (bool(required) and set(required) == {"passed"})


@settings(deadline=None)
@given(findings=st.lists(any_finding, min_size=1, max_size=6), data=st.data())
def test_a_finding_made_worse_never_makes_the_verdict_kinder(findings: list[Finding], data: st.DataObject) -> None:
    order: list[Word] = ["allowed", "allowed_with_warnings", "no_verdict", "blocked"]
    at = data.draw(st.integers(0, len(findings) - 1))
    worse = KINDEST_FIRST[KINDEST_FIRST.index(findings[at].status) :]

    changed = replace(findings[at], status=data.draw(st.sampled_from(worse)))
    before, after = verdict.of(findings), verdict.of([*findings[:at], changed, *findings[at + 1 :]])

    assert order.index(before.word) <= order.index(after.word)


@settings(deadline=None)
@given(findings=st.lists(any_finding, min_size=1, max_size=6))
def test_what_is_blocked_stays_blocked_when_warnings_become_required(findings: list[Finding]) -> None:
    before = verdict.of(findings).word
    after = verdict.of([replace(finding, level="required") for finding in findings]).word

    assert before != "blocked" or after == "blocked"


@settings(deadline=None)
@given(findings=st.lists(any_finding, max_size=6))
def test_the_counts_are_of_the_required_findings_and_add_up(findings: list[Finding]) -> None:
    counts = verdict.of(findings).counts

    required = [finding.status for finding in findings if finding.level == "required"]
    warnings = [finding for finding in findings if finding.level == "warning" and finding.status != "passed"]
    assert counts["warned"] == len(warnings)
    assert {status: counts[status] for status in STATUSES} == {status: required.count(status) for status in STATUSES}


@settings(deadline=None)
@given(findings=st.lists(any_finding, max_size=6), data=st.data())
def test_the_word_does_not_depend_on_the_order_of_the_findings(findings: list[Finding], data: st.DataObject) -> None:
    other = data.draw(st.permutations(findings))

    assert verdict.of(other).word == verdict.of(findings).word
    assert verdict.of(other).counts == verdict.of(findings).counts


@pytest.mark.parametrize(
    ("findings", "sentence"),
    [
        ([check()], "1 check passed."),
        (
            [gate(990), gate(985, name="h"), check()],
            "All 2 gates and 1 check passed. Tightest: accuracy, +3.50 pp (35 images of 1,000).",
        ),
        (
            [gate(800), gate(700, name="h"), gate(990, name="i"), check()],
            "2 of 3 required gates failed. "
            "Worst: accuracy is 70.00 %, must be at least 95.00 % (-25.00 pp, 250 images).",
        ),
        (
            [gate(700), check("failed", "a"), check("failed", "b")],
            "2 of 2 required checks failed. First: a: failed. 1 gate failed too.",
        ),
        ([check("failed", "a"), check()], "1 of 2 required checks failed. First: a: failed."),
        ([check(), warned(check("failed", "a"))], "1 check passed. 1 warning; first: a: failed."),
        (
            [check(), check("not_evaluated", "a"), gate(990)],
            "1 of 3 gates and checks could not be decided. First: a: not_evaluated.",
        ),
        ([], "Nothing was checked, so nothing can be said."),
    ],
)
def test_the_sentence_says_how_many_and_the_first_to_look_at(findings: list[Finding], sentence: str) -> None:
    assert verdict.of(findings).sentence == sentence


@pytest.mark.parametrize(
    ("findings", "advice"),
    [
        ([gate(990)], "Release it, and keep run.json and the evidence with the release."),
        ([gate(990), warned(check("failed"))], "Read each warning before you release."),
        ([check("failed")], "Do not release. Mend the cause (test_x.py:3), then judge the model again."),
        (
            [gate(500)],
            "Do not release. Look at the mistakes behind the failed gates, retrain, then judge the new model.",
        ),
        ([gate(960)], "Do not release yet. About 1,332 labelled images like these would settle it."),
        ([gate(96, digit=5, n=100)], "Do not release yet. About 1,332 labelled images of digit 5 would settle it."),
        (
            [gate(960), gate(953, name="h")],
            "Do not release yet. About 14,440 labelled images like these would settle it.",
        ),
        (
            [gate(950)],
            "Do not release yet. The model sits too close to a threshold for these images: improve it or the rule.",
        ),
        (
            [gate(960), check("not_evaluated")],
            "Do not release yet. Remove what kept it from being decided, then run again.",
        ),
        ([check("inconclusive")], "Do not release yet. Remove what kept it from being decided, then run again."),
        ([], "Do not release yet. Remove what kept it from being decided, then run again."),
    ],
)
def test_the_advice_is_a_next_step(findings: list[Finding], advice: str) -> None:
    assert verdict.of(findings).advice == advice


def test_a_check_is_named_before_a_gate_because_it_names_a_cause() -> None:
    assert verdict.worst([gate(100), check("failed", "a")]).title == "a"


def test_among_gates_the_largest_shortfall_is_named_first_and_one_without_a_number_last() -> None:
    unmeasured = replace(gate(900), margin=None, title="unmeasured")

    named = [verdict.worst(found).title for found in ([unmeasured, gate(900)], [gate(900), gate(700, digit=3)])]

    assert named == ["accuracy", "recall of 3"]


def doubts(turned: tuple[str, ...]) -> Suspects:
    images = tuple(Suspect(index, 6, 5, 9) for index in (1014, 2654))
    return Suspects(images, Measurement("accuracy", 0.99, 0.98, 0.995, 9998), turned)


def test_what_hangs_on_labels_in_doubt_is_said_and_changes_no_word() -> None:
    findings = [gate(800)]

    sure, doubted = verdict.of(findings), verdict.of(findings, doubts(("recall of 6", "accuracy")))

    assert replace(doubted, advice=sure.advice) == sure
    assert doubted.advice == (
        f"{sure.advice} 2 gates, first recall of 6, hang on 2 images whose labels are in doubt: "
        "look at them first (Mistakes)."
    )


def test_labels_in_doubt_on_which_nothing_hangs_are_no_matter_of_the_verdict() -> None:
    findings = [gate(800)]

    assert verdict.of(findings, doubts(())) == verdict.of(findings)
