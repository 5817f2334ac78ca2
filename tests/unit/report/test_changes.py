"""Report beside the last release: differences, flips, digits that broke, and nothing where there is none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from harness import formatting, report
from harness.judging.gates import judge
from harness.metrics import display
from harness.records import CLEAN, Gate, Scope
from harness.report import accepted, changes, facts
from harness.report.robustness import limits, robustness
from harness.report.shown import Shown
from tests.support import samples


@cache
def page(make: Callable[[], samples.Sample] = samples.succeeded) -> str:
    return report.render(*make(), samples.SESSION)


def seen() -> changes.Changes:
    run, shown = samples.succeeded()
    found = changes.changes(run, shown, Shown(run), 24)
    assert found is not None
    return found


def test_the_head_names_the_baseline_with_its_hash() -> None:
    run, _ = samples.succeeded()

    assert facts.Item("Baseline", "digits-mlp-1.3.0.keras", (run.baseline.sha256 if run.baseline else "")[:10]) in (
        facts.identity(run, None)
    )


def test_without_a_baseline_the_page_says_so_and_shows_no_changes() -> None:
    html = page(samples.usual)

    assert 'id="changes"' not in html
    assert "No baseline was given" in html


def test_a_panel_has_the_accuracy_of_the_last_release_dashed_where_it_answered_the_same_images() -> None:
    run, shown = samples.succeeded()
    assert shown.baseline is not None
    trial = next(trial for trial in sorted(shown.answers) if trial.name == "fog")
    before = float((shown.baseline.predictions.answers[trial] == shown.labels).mean())

    found = next(one for one in robustness(run, shown, Shown(run)).panels if one.name == "Fog")

    assert f"{trial.point[0]} {formatting.percent(before, 1.0)}" in found.others[0]
    assert found.others[0].startswith("the last release: clean ")
    assert "</svg>the last release</span>" in page()


def test_a_gate_against_the_last_release_is_drawn_below_that_by_its_margin() -> None:
    run, _ = samples.succeeded()
    gate = Gate("g", "accuracy", "at_least", -0.05, "x", Scope(corruption="fog", severity=3), against="baseline")
    change = next(one for one in run.changes if one.scope == gate.scope)
    last = next(one for one in run.measurements if one.scope == gate.scope).value - change.value

    (limit,) = limits([judge(change, gate)], Shown(run))

    assert limit.value == pytest.approx(last - 0.05)
    assert (limit.at, limit.met) == (3, change.low >= -0.05)


def test_each_digit_says_how_its_recall_changed_and_nothing_without_a_baseline() -> None:
    run, _ = samples.succeeded()
    change = next(one for one in run.changes if one.metric == "recall" and one.scope == Scope(digit=5))

    assert f"<b>{display.difference('recall', change.value)}</b><small>{display.interval(change)}</small>" in (
        page().replace("\u00a0", " ")
    )
    assert "Recall since the baseline" not in page(samples.usual)


def test_four_counts_say_who_reads_how_many_images() -> None:
    _, shown = samples.succeeded()
    last = shown.baseline
    assert last is not None
    right, before = shown.answers[CLEAN] == shown.labels, last.predictions.answers[CLEAN] == shown.labels

    flips = seen().flips

    assert flips is not None
    counts = ((right & before).sum(), (right & ~before).sum(), (~right & before).sum(), (~right & ~before).sum())
    assert (flips.both, flips.fixed, flips.broken, flips.neither) == tuple(f"{count:,}" for count in counts)


def test_broken_digits_are_those_that_only_the_baseline_reads_and_lead_to_their_kind() -> None:
    _, shown = samples.succeeded()
    last = shown.baseline
    assert last is not None
    html = page()

    assert seen().pictures
    for one in seen().pictures:
        assert shown.answers[CLEAN][one.index] != shown.labels[one.index] == last.predictions.answers[CLEAN][one.index]
        assert f'id="{one.href[1:]}"' in html


def test_no_more_digits_are_shown_than_there_is_room_for_and_the_rest_is_counted() -> None:
    run, shown = samples.succeeded()

    few = changes.changes(run, shown, Shown(run), 1)

    assert few is not None
    assert (len(few.pictures), few.more) == (1, len(seen().pictures) + seen().more - 1)


def test_every_difference_has_its_interval_and_recall_its_flips() -> None:
    lines = {line.name: line for line in seen().clean}

    assert re.fullmatch(r"[+-]\d\.\d\d pp", lines["Accuracy"].change)
    assert re.fullmatch(r"[+-]\d\.\d\d to [+-]\d\.\d\d pp", lines["Accuracy"].spread)
    assert {f"Recall of {digit}" for digit in range(10)} < lines.keys()
    assert lines["Log loss"].broken == "–"


def test_of_the_corruptions_those_are_shown_that_lost_most() -> None:
    run, _ = samples.succeeded()
    lost = sorted(one.value for one in run.changes if one.scope.corruption)

    assert len(seen().corrupted) == 12 < len(lost)
    assert float(seen().corrupted[0].change.removesuffix(" pp")) == round(100 * lost[0], 2)


def test_a_gate_with_a_fixed_threshold_shows_its_change_beside_it() -> None:
    run, shown = samples.succeeded("strict_successor.toml")
    html = report.render(run, shown, samples.SESSION)
    change = Shown(run).change("accuracy", Scope())
    assert change is not None

    row = re.search(r"<tr id=\"gate-\d+\"[^>]*>(?:(?!</tr>).)*<bdi>Accuracy</bdi>(?:(?!</tr>).)*</tr>", html, re.S)

    assert row is not None
    assert f"{100 * change.value:+.2f}" in row[0]


def test_a_baseline_of_other_images_is_named_and_nothing_is_compared() -> None:
    run, shown = samples.succeeded()
    html = report.render(replace(run, changes=()), shown, samples.SESSION)

    assert "Nothing of it can be compared" in html


def test_who_accepted_the_baseline_is_said_and_inert() -> None:
    assert "Accepted by Ada: a year in the field" in page()
    assert "<script>alert" not in page(samples.hostile)


def test_the_first_screen_says_how_the_candidate_lies_in_the_spread() -> None:
    html = report.render(*samples.pooled(), samples.SESSION)

    first = html[: html.index('id="headline"')].replace("\N{NO-BREAK SPACE}", " ")
    assert re.search(r"Beside the 5 accepted runs: accuracy [+-]\d\.\d\d pp; retraining moves it by \d", first)


def test_a_strip_has_a_ring_for_each_accepted_run_and_the_margin() -> None:
    found = accepted.accepted(samples.pooled()[0], 100)

    assert found is not None
    assert {len(one.runs) for one in (*found.primary, *found.guards)} == {5}
    assert (len(found.primary), len(found.guards)) == (5, 25)  # the sample knows one corruption less
    assert all(float(one.edge) < 132 for one in found.primary)
    assert any(text.startswith("Not refuted: no proof of a loss") for text in found.meanings)


def test_of_one_accepted_run_the_strip_has_no_ring() -> None:
    found = accepted.accepted(samples.succeeded()[0], 100)

    assert found is not None
    assert {one.runs for one in found.primary} == {()}
    assert "the last release" in accepted.sentence(samples.succeeded()[0])


def test_more_guards_than_are_shown_are_counted() -> None:
    found = accepted.accepted(samples.pooled()[0], 10)

    assert found is not None
    assert (len(found.guards), found.left_out) == (10, 15)
