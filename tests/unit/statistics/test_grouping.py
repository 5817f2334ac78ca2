"""The design effect: worked numbers, published data, and what must hold for any groups."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.records import Codes
from harness.statistics import grouping, paired
from harness.statistics.estimates import Share, from_counts, from_scores
from harness.statistics.intervals import mcnemar

# Donner & Petryshen 1989: of each psychiatrist the patients, and those where only one of the two said yes.
PATIENTS = (7, 6, 7, 6, 4, 6, 5, 8, 4, 7, 3, 6, 7, 6, 5, 4, 6, 5, 4, 3, 5, 4, 4, 2, 3, 2, 2, 3, 1)
ONLY_PATIENT = (0, 1, 1, 1, 0, 3, 3, 3, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0)
ONLY_PSYCHIATRIST = (4, 2, 3, 2, 1, 3, 0, 2, 2, 4, 2, 4, 3, 2, 1, 3, 1, 2, 0, 0, 0, 2, 1, 2, 2, 0, 0, 1, 1)
# Schools of the districts in the sample apiclus1 of R's package survey.
SCHOOLS = (13, 34, 4, 13, 16, 2, 1, 4, 12, 21, 9, 11, 37, 2, 4)

Right = NDArray[np.bool_]


def units(*sizes: int) -> Codes:
    return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


def right_but(codes: Codes, *mistakes: int) -> Right:
    """All right but for so many of each unit's images."""
    right = np.ones(len(codes), np.bool_)
    for unit, many in enumerate(mistakes):
        right[np.flatnonzero(codes == unit)[:many]] = False
    return right


def share(right: Right, codes: Codes) -> Share:
    return Share(int(right.sum()), len(right), grouping.of_share(right, codes))


def test_five_units_of_ten_with_five_mistakes_come_to_the_worked_numbers() -> None:
    codes = units(10, 10, 10, 10, 10)

    found = share(right_but(codes, 0, 0, 1, 0, 4), codes)

    assert found.effect is not None
    assert found.effect.design == pytest.approx(4.642910, abs=1e-6)
    assert found.effect.images == pytest.approx(10.7691, abs=1e-4)
    assert found.effect.level(0.05) == pytest.approx(0.019029, abs=1e-6)
    assert found.bounds(0.95)[0] == pytest.approx((0.553485, 0.997542), abs=1e-6)
    assert found.p_value("at_least", 0.95) == pytest.approx(0.393118, abs=1e-6)


@pytest.mark.parametrize(
    ("sizes", "mistakes", "design", "low"),
    [((5,) * 20, 0, 3.0, 0.910207), ((5,) * 20, 1, 2.981587, 0.893187), ((2,) * 50, 0, 2.0, 0.941230)],
)
def test_few_mistakes_come_to_the_worked_numbers(
    sizes: tuple[int, ...], mistakes: int, design: float, low: float
) -> None:
    codes = units(*sizes)

    found = share(right_but(codes, mistakes), codes)

    assert found.effect is not None
    assert found.effect.design == pytest.approx(design, abs=1e-6)
    assert found.bounds(0.95)[0][0] == pytest.approx(low, abs=1e-6)


def test_one_image_a_unit_is_an_independent_image_to_the_last_digit() -> None:
    codes = units(*[1] * 100)
    right = right_but(codes, 1, 1, 1)

    assert share(right, codes) == Share(97, 100)
    assert paired.pairs(right, ~right, codes) == paired.pairs(right, ~right)
    assert from_scores(right.astype(np.float64), codes).effect is None
    assert share(right, codes).bounds(0.95)[0] == pytest.approx((0.924289, 0.991774), abs=1e-6)


def test_schools_of_districts_come_to_the_published_standard_error() -> None:
    codes = units(*SCHOOLS)
    right = right_but(codes, *[0] * 10, 4)
    influence = right - right.mean()

    found, n, many = share(right, codes), len(codes), len(SCHOOLS)

    sums = np.bincount(codes, influence)
    assert math.sqrt(many / (many - 1) * float((sums**2).sum())) / n == pytest.approx(0.022850, abs=1e-6)
    assert found.effect is not None
    assert found.effect.design == pytest.approx(7.192266, abs=1e-6)
    assert found.effect.effective - 1 == pytest.approx(7.450416, abs=1e-6)
    assert found.bounds(0.95)[0][0] == pytest.approx(0.834939, abs=1e-6)


def test_patients_of_psychiatrists_come_to_the_worked_interval_and_mcnemar_to_the_printed_one() -> None:
    codes, first, second = units(*PATIENTS), np.zeros(135, np.bool_), np.zeros(135, np.bool_)
    for unit, (b, c) in enumerate(zip(ONLY_PATIENT, ONLY_PSYCHIATRIST, strict=True)):
        members = np.flatnonzero(codes == unit)
        first[members[:b]], second[members[b : b + c]] = True, True

    found = paired.pairs(second, first, codes)

    assert (found.broken, found.fixed) == (21, 50)
    assert pytest.approx(11.85, abs=5e-3) == (50 - 21) ** 2 / (50 + 21)
    assert found.effect is not None
    assert found.effect.design == pytest.approx(1.576525, abs=1e-6)
    assert found.bounds(0.95)[0] == pytest.approx((0.084002, 0.338113), abs=1e-6)
    assert replace(found, effect=None).bounds(0.95)[0] == pytest.approx((0.114542, 0.310656), abs=1e-6)
    assert found.equality > mcnemar(21, 50)


@st.composite
def grouped(draw: st.DrawFn) -> tuple[Right, Codes]:
    sizes = draw(st.lists(st.integers(1, 12), min_size=2, max_size=30))
    codes = units(*sizes)
    mistakes = [draw(st.integers(0, size)) for size in sizes]
    return right_but(codes, *mistakes), codes


@given(grouped(), st.randoms(use_true_random=False))
def test_the_order_of_images_and_the_names_of_units_do_not_matter(of: tuple[Right, Codes], random: object) -> None:
    right, codes = of
    order = np.random.default_rng(len(codes)).permutation(len(codes))
    renamed = (codes.max() + 3 - codes).astype(np.int32)

    one, other = grouping.of_share(right, codes), grouping.of_share(right[order], renamed[order])

    assert (one is None) == (other is None)
    assert one is None or one.design == pytest.approx(other.design if other else None, rel=1e-9)


@given(grouped())
def test_the_design_effect_is_at_least_one_and_one_image_more_of_a_unit_never_costs_more_than_all(
    of: tuple[Right, Codes],
) -> None:
    found = grouping.of_share(*of)

    assert found is None or found.design >= 1
    assert found is None or found.images <= found.n


@given(grouped(), st.floats(0.6, 0.999))
@example((right_but(units(1, 9), 1, 7), units(1, 9)), 0.999)  # its level is 1e-100
def test_bounds_are_never_narrower_than_those_of_independent_images(of: tuple[Right, Codes], sure: float) -> None:
    found = share(*of)

    for (low, high), (alone_low, alone_high) in (
        (found.bounds(sure)[0], replace(found, effect=None).bounds(sure)[0]),
        (found.display()[0], replace(found, effect=None).display()[0]),
    ):
        assert low <= alone_low + 1e-12
        assert high >= alone_high - 1e-12


@given(grouped(), st.floats(0.02, 0.98), st.sampled_from([0.2, 0.05, 0.01, 0.001]))
@example((right_but(units(21, 16, 3), 1, 1, 1), units(21, 16, 3)), 0.09, 0.01)
def test_a_p_value_is_under_the_level_exactly_where_the_bound_excludes_the_threshold(
    of: tuple[Right, Codes], threshold: float, alpha: float
) -> None:
    found = share(*of)
    if found.effect is not None and found.effect.effective < 2:
        return
    (low, high), _ = found.bounds(1 - alpha)
    p_low, p_high = (found.p_value(rule, threshold) for rule in ("at_least", "at_most"))

    if min(abs(high - threshold), abs(low - threshold)) > 1e-9:
        assert (p_low < alpha) == (high < threshold)
        assert (p_high < alpha) == (low > threshold)


@given(grouped(), st.integers(-90, 90).map(lambda hundredths: hundredths / 100), st.sampled_from([0.2, 0.05, 0.01]))
@example((right_but(units(10, 10), 0, 1), units(10, 10)), 0.89, 0.01)
@example((right_but(units(2, 28, 34, 2), 0, 1, 1, 0), units(2, 28, 34, 2)), 0.68, 0.01)
def test_of_pairs_too(of: tuple[Right, Codes], threshold: float, alpha: float) -> None:
    right, codes = of
    found = paired.pairs(right, np.roll(right, 1), codes)
    if found.effect is not None and found.effect.effective < 2:
        return
    (low, high), _ = found.bounds(1 - alpha)

    if min(abs(high - threshold), abs(low - threshold)) > 1e-6:
        assert (found.p_value("at_least", threshold) < alpha) == (high < threshold)
        assert (found.p_value("at_most", threshold) < alpha) == (low > threshold)


def test_no_one_and_two_mistakes_give_bounds_without_a_jump() -> None:
    codes = units(*[30] * 100)

    lows = [share(right_but(codes, *[1] * mistakes), codes).bounds(0.95)[0][0] for mistakes in (0, 1, 2)]

    assert max(lows) == lows[0]
    assert max(1 - low for low in lows) / (1 - lows[0]) < 1.25


def test_images_of_one_unit_alone_tell_nothing_of_others() -> None:
    codes = units(40)

    (low, high), _ = share(right_but(codes, 2), codes).bounds(0.95)

    assert (low, high) == (0.0, 1.0)


def test_a_score_of_the_matrix_is_stretched_by_the_root_of_the_design_effect() -> None:
    codes = units(*[50] * 40)
    right = right_but(codes, *[10] * 8)
    labels = np.arange(len(codes)) % 10
    answers = np.where(right, labels, (labels + 1) % 10)
    cells = labels * 11 + answers
    counts = np.bincount(cells, minlength=110).reshape(10, 11)

    def accuracy(matrices: NDArray[np.int64]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = np.trace(matrices, axis1=-2, axis2=-1) / matrices.sum(axis=(-2, -1))
        return scores

    found, alone = from_counts(counts, accuracy, cells, codes), from_counts(counts, accuracy)

    assert found.effect is not None
    assert found.effect.design == pytest.approx(grouping.of_share(right, codes).design, rel=1e-3)  # type: ignore[union-attr]
    assert found.value - found.bounds(0.95)[0][0] > math.sqrt(found.effect.design) * (
        alone.value - alone.bounds(0.95)[0][0]
    )
