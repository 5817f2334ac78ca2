"""Words: numbers as text that never say more, or other, than the number."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness import formatting
from harness.metrics import display
from harness.records import Gate, Measurement, Scope

shares = st.floats(0, 1)
thresholds = st.decimals(0, 1, places=4).map(float) | st.floats(0, 1)


def shown(text: str) -> float:
    return float(text.removesuffix(" %").removesuffix(" pp"))


@settings(deadline=None)
@given(value=shares, threshold=thresholds)
@example(value=0.98999999999, threshold=0.99)
@example(value=0.98766, threshold=0.98765)
@example(value=1e-300, threshold=0.0)
def test_a_displayed_share_lies_on_its_own_side_of_the_displayed_threshold(value: float, threshold: float) -> None:
    left, right = shown(display.figure("accuracy", value, threshold)), shown(display.limit("accuracy", threshold))

    assert (left < right) == (value < threshold)
    assert (left > right) == (value > threshold)


@settings(deadline=None)
@given(value=st.floats(0, 20), threshold=st.floats(0, 20))
def test_a_displayed_loss_lies_on_its_own_side_of_the_displayed_threshold(value: float, threshold: float) -> None:
    left, right = shown(display.figure("log_loss", value, threshold)), shown(display.limit("log_loss", threshold))

    assert (left < right) == (value < threshold)
    assert (left > right) == (value > threshold)


@settings(deadline=None)
@given(low=shares, high=shares, threshold=thresholds)
def test_displayed_bounds_lie_on_their_own_side_of_the_displayed_threshold(
    low: float, high: float, threshold: float
) -> None:
    text = display.interval(Measurement("accuracy", low, low, high, 1), threshold)

    ends = [shown(part) for part in text.split(" to ")]

    limit = shown(display.limit("accuracy", threshold))
    assert [(end < limit, end > limit) for end in ends] == [(end < threshold, end > threshold) for end in (low, high)]


@settings(deadline=None)
@given(value=shares, threshold=thresholds)
def test_a_displayed_share_is_off_by_less_than_its_last_digit(value: float, threshold: float) -> None:
    text = formatting.percent(value, threshold)

    assert abs(shown(text) - value * 100) <= 10.0 ** -len(text.removesuffix(" %").partition(".")[2]) + 1e-9


@settings(deadline=None)
@given(margin=st.floats(-1, 1))
def test_a_displayed_margin_has_the_sign_of_the_margin(margin: float) -> None:
    text = formatting.points(margin)

    assert (shown(text) < 0, shown(text) > 0) == (margin < 0, margin > 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formatting.percent(0.9534), "95.34 %"),
        (formatting.percent(0.95, 0.95), "95.00 %"),
        (formatting.percent(0.94996, 0.95), "94.996 %"),
        (formatting.percent(0.94999999999, 0.95), "94.999999 %"),
        (formatting.percent(0.95000000001, 0.95), "95.000001 %"),
        (formatting.percent(0.0), "0.00 %"),
        (formatting.percent(1.0), "100.00 %"),
        (formatting.percent(float("nan")), "NaN %"),
        (formatting.percent(0.999, digits=0), "100 %"),
        (formatting.number(0.03871), "0.0387"),
        (formatting.number(0.09999, 0.1), "0.09999"),
        (display.limit("accuracy", 0.07), "7.00 %"),
        (display.limit("accuracy", 0.99955), "99.955 %"),
        (display.limit("log_loss", 0.1), "0.1000"),
        (formatting.points(-0.0066), "-0.66 pp"),
        (formatting.points(0.0066), "+0.66 pp"),
        (display.difference("log_loss", -0.02), "-0.0200"),
        (display.difference("recall", -0.02), "-2.00 pp"),
        (formatting.count(1, "image"), "1 image"),
        (formatting.count(0, "image"), "0 images"),
        (formatting.count(12_345, "image"), "12,345 images"),
        (formatting.percent_short(0.95), "95 %"),
        (formatting.percent_short(0.999), "99.9 %"),
        (display.interval(Measurement("accuracy", 0.97, 0.9612, 0.98, 9)), "96.12 to 98.00 %"),
        (display.interval(Measurement("log_loss", 0.1, 0.05, 0.2, 9)), "0.0500 to 0.2000"),
    ],
)
def test_a_number_reads_as_it_should(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    ("metric", "scope", "expected"),
    [
        ("accuracy", Scope(), "accuracy"),
        ("f1", Scope(digit=0), "F1 of 0"),
        ("macro_f1", Scope(), "macro F1"),
        ("accuracy", Scope(corruption="gaussian_noise", severity=3), "accuracy under gaussian noise at severity 3"),
        ("worst_case_accuracy", Scope(corruption="shift", within=2), "worst case accuracy under shift within ±2"),
    ],
)
def test_a_title_says_what_the_number_is_of(metric: str, scope: Scope, expected: str) -> None:
    assert display.title(metric, scope) == expected


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (Gate("g", "accuracy", "at_least", 0.985, "x"), "≥ 98.50 %, proven at 95 %"),
        (Gate("g", "accuracy", "at_least", 0.985, "x", decide="point"), "≥ 98.50 %, by the bare value"),
        (Gate("g", "largest_confusion", "at_most", 0.03, "x", confidence=0.99), "≤ 3.00 %, proven at 99 %"),
        (Gate("g", "log_loss", "at_most", 0.1, "x", decide="not-disproven"), "≤ 0.1000, not disproven at 95 %"),
    ],
)
def test_a_requirement_says_the_rule_and_what_it_takes(gate: Gate, expected: str) -> None:
    assert display.requirement(gate) == expected


def test_a_line_is_cut_only_where_it_is_too_long() -> None:
    assert [formatting.one_line(text, 4) for text in ("abcd", "abcde")] == ["abcd", "abc…"]


@settings(deadline=None)
@given(text=st.text(max_size=400), limit=st.integers(1, 50))
def test_outside_text_becomes_one_printable_line(text: str, limit: int) -> None:
    line = formatting.one_line(text, limit)

    assert line.isprintable()
    assert len(line) <= limit


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", ": :error::x"),
        ("by ##vso[task]", "by # #vso[task]"),
        ("\n##[error]", "# #[error]"),
        ("###teamcity[x]", "# # #teamcity[x]"),
        ("#\ufe0f#vso[task]", "# \ufe0f#vso[task]"),
        ("# a::b", "# a::b"),
    ],
)
def test_the_log_of_a_build_is_given_no_orders(text: str, shown: str) -> None:
    assert formatting.one_line(text) == shown
    assert not any(order in formatting.command_line(["x", text]) for order in ("##vso[", "##["))


@given(st.lists(st.binary(max_size=20).filter(lambda word: 0 not in word).map(os.fsdecode), max_size=4))
@example(["a  b", "it's", "", os.fsdecode(b"\xff"), "\x1b[31m\n\t", "\\x41\x01'", "$HOME"])
@settings(max_examples=25, deadline=None)
def test_a_shell_reads_a_command_line_as_it_was_and_a_person_can_print_it(given_words: list[str]) -> None:
    line = formatting.command_line(["printf", "%s\\0", *given_words])
    done = subprocess.run(["bash", "-c", line], capture_output=True, env={"LC_ALL": "C.UTF-8"}, check=True)

    read = [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]

    assert read == (given_words or [""])
    assert line.isprintable()
