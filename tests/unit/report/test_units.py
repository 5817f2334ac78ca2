"""The section on sampling units: what it says, counted again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import hypergeom

from harness import report
from harness.outputs import run_json
from harness.records import CLEAN, Codes, Groups
from harness.report import units
from harness.report.shown import Shown
from harness.statistics.intervals import p_drawn
from tests.support import samples


def section() -> units.Units:
    run, shown = samples.by_writer()
    found = units.units(run, shown, Shown(run), frozenset(), 100)
    assert found is not None
    return found


def test_the_writer_that_is_read_worse_than_the_others_is_named_with_its_chance() -> None:
    found = section()

    assert [one.name for one in found.standing] == ["writer 0"]
    assert (found.standing[0].n, found.standing[0].right) == ("10", "20.00 %")
    assert found.standing[0].more == 8


def test_another_image_of_the_same_writer_and_any_image_are_counted() -> None:
    _, shown = samples.by_writer()
    wrong = (shown.answers[CLEAN] != shown.labels).reshape(100, 10).sum(axis=1)
    again = 100 * (wrong * (wrong - 1)).sum() / (wrong * 9).sum()

    text = " ".join(section().lead)

    assert "1,000 images of 100 writers, 10 to 10 each." in text
    assert f"another of the same writer is in {again:.2f} % of cases; any image is in {wrong.sum() / 10:.2f} %" in text
    assert f"Each writer weighed alike, accuracy is {100 - wrong.sum() / 10:.2f} %" in text
    assert "may be up to 2.95 % of all" in text


def test_the_histogram_counts_every_writer_once() -> None:
    assert sum(int(bar.units) for bar in section().bars) == 100


def test_slices_of_the_data_are_shown_where_images_are_declared_independent() -> None:
    run, shown = samples.by_writer()
    groups = Groups("", None, shown.groups.columns if shown.groups else {})

    found = units.units(run, replace(shown, groups=groups), Shown(run), frozenset(), 100)

    assert found is not None
    assert (found.unit, [name for name, _ in found.columns]) == ("", ["site"])
    assert [one.n for one in found.columns[0][1]] == ["500", "500"]


def test_without_units_no_section_and_no_field_says_anything_of_them() -> None:
    run, shown = samples.allowed()

    text = run_json.dump(run).decode()
    html = report.render(run, shown, samples.SESSION)

    assert 'id="units"' not in html
    of_units = ("unit", "units", "unit_sizes", "shared_units", "effect", "effective", "effective_units", "units_needed")

    assert [name for name in (*of_units, "column", "reaching") if f'"{name}"' in text] == []
    assert "Images are taken to be independent: no writer, page or patient is known." in html


def test_the_first_screen_says_of_how_many_writers_the_intervals_are() -> None:
    run, shown = samples.by_writer()

    html = report.render(run, shown, samples.SESSION)

    assert "Intervals are of 1,000 images of 100 writers, which tell of others as 100 of equal size would." in html
    assert "(nominal; 0 to 11" in html


def test_the_bounds_in_the_page_are_those_of_the_units() -> None:
    run, _ = samples.by_writer()
    accuracy = next(one for one in run.measurements if one.metric == "accuracy" and not one.scope.corruption)

    assert accuracy.effect is not None
    assert accuracy.effect > 1.5
    assert accuracy.effective == accuracy.n / accuracy.effect
    assert (accuracy.units, accuracy.effective_units) == (100, np.float64(100.0))


def tens() -> Codes:
    return (np.arange(1000) // 10).astype(np.int32)


def standing(wrong: list[int]) -> list[str]:
    right = np.ones(1000, np.bool_)
    right[wrong] = False
    return [one.name for one in units._standing(right, tens(), "writer", frozenset())]


def test_a_single_mistake_makes_nobody_stand_out() -> None:
    assert standing([17]) == []


def test_who_has_all_mistakes_stands_out() -> None:
    assert standing([10, 11, 12, 13]) == ["writer 1"]


def test_the_chance_is_that_of_drawing_without_replacement() -> None:
    assert p_drawn(3, 10, 20, 1000) == pytest.approx(hypergeom.sf(2, 1000, 20, 10), rel=1e-9)


def test_a_unit_is_drawn_in_the_bar_of_its_own_share() -> None:
    hits, sizes = np.array([19, 47, 29, 9, 7, 8]), np.array([20, 50, 30, 10, 8, 8])

    found = {one.label: one.units for one in units._bars(hits, sizes) if one.units != "0"}

    assert found == {"under 90 %": "1", "90 % to 91 %": "1", "94 % to 95 %": "1", "95 % to 96 %": "1"} | {
        "96 % to 97 %": "1",
        "100 %": "1",
    }


@pytest.mark.parametrize(("many", "most"), [(1, "95.00 %"), (2, "77.64 %"), (100, "2.95 %")])
def test_a_kind_that_was_not_drawn_is_never_more_than_all(many: int, most: str) -> None:
    run, shown = samples.allowed()
    codes = (np.arange(len(shown.labels)) % many).astype(np.int32)
    grouped = replace(shown, groups=Groups("writer", codes))

    found = units.units(run, grouped, Shown(run), frozenset(), 10)

    assert found is not None
    assert found.lead[-1] == f"A kind of writer that is not among these may be up to {most} of all."
