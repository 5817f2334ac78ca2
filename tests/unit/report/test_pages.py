"""The pages beside the report: several candidates side by side, and two runs image by image."""

from __future__ import annotations

import re

import pytest

from harness import report
from tests.support import samples
from tests.support.pages import compared, index, judged


def rows(html: str) -> list[str]:
    return re.findall(r'<tr class="(?:\w+)">.*?</tr>', html, re.S)


def test_each_candidate_is_a_line_with_verdict_cause_numbers_and_a_link() -> None:
    allowed, usual, succeeded, unusable = rows(index())

    assert 'href="allowed/report.html"' in allowed
    assert "Release allowed" in allowed
    assert "All 47 gates and 12 checks passed." in allowed
    assert "93.90" in allowed
    assert "recall of 8" not in allowed  # the column says so
    assert "of 8" in allowed
    assert "translate at severity 5" in usual
    assert re.search(r"<b>\+0\.57.pp</b>", succeeded)
    assert "Unusable" in unusable
    assert "href" not in unusable


def test_nothing_of_a_candidate_becomes_markup() -> None:
    html = index() + compared()

    assert "<img src=x" not in html
    assert "<b>no model" not in html
    assert "\u202e" not in html


def test_without_a_baseline_there_is_no_column_for_it() -> None:
    assert "Against the baseline" not in report.render_index(judged()[:2])
    assert "Against the baseline" in index()


def test_the_comparison_shows_each_image_that_changed_with_both_answers() -> None:
    html = compared()
    wrong, right = html.split("<h2>Newly right")

    assert "<h1>43 newly wrong, 100 newly right; accuracy +0.57" in html
    assert wrong.count("<img ") == 43
    assert right.count("<img ") == 60
    assert "40 more images" in right
    assert re.search(r'alt="image \d+, a (\d): \1 before, (?!\1)\S+ after"', wrong)
    assert re.search(r'alt="image \d+, a (\d): (?!\1)\S+ before, \1 after"', right)


def test_the_comparison_lists_every_difference() -> None:
    differences = compared().split("<h2>Every difference")[1]

    assert "Accuracy" in differences
    assert "Recall of 7" in differences
    assert len(re.findall("<tr>", differences)) > 10


@pytest.mark.parametrize("name", ["a b#c", "ü%20", "x?y"])
def test_a_link_leads_to_the_folder_whatever_its_name(name: str) -> None:
    html = report.render_index([report.Judged("m", name, samples.allowed()[0])])
    found = re.search(r'href="([^"]*)/report.html"', html)

    assert found is not None
    assert re.fullmatch(r"[A-Za-z0-9%._-]+", found[1])
