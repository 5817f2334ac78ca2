"""Intervals of a share: against the papers, against scipy and statsmodels, and by exact coverage."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import beta, binom, binomtest
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.proportion import proportion_confint

from harness.errors import NotMeasurable
from harness.records import Rule
from harness.statistics.intervals import (
    agresti_coull,
    exact,
    holm,
    images_needed,
    mcnemar,
    minimal_detectable_effect,
    p_above,
    p_below,
    paired,
    paired_score,
    pairs_needed,
    resample_cells,
    smallest_n_for_equal,
    smallest_n_for_perfect,
)

SHARES = (0.90, 0.97, 0.99, 0.995, 0.999)
SIZES = (100, 1_000, 10_000)
NEGLIGIBLE = 1e-12

unhurried = settings(deadline=None, max_examples=60)
hits_of_n = st.integers(1, 3_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
thresholds = st.floats(0.01, 0.99)


@pytest.mark.parametrize(
    ("hits", "n", "printed"),
    [(81, 263, (0.2527, 0.3676)), (15, 148, (0.0578, 0.1617)), (0, 20, (0, 0.1684)), (1, 29, (0.0009, 0.1776))],
)
def test_two_exact_bounds_give_the_examples_of_newcombe_1998(hits: int, n: int, printed: tuple[float, float]) -> None:
    assert exact(hits, n, 0.975) == pytest.approx(printed, abs=5e-5)


@unhurried
@given(hits_of_n, st.floats(0.5, 0.999))
def test_the_displayed_interval_is_that_of_statsmodels_where_the_exact_one_does_not_end_before(
    counts: tuple[int, int], confidence: float
) -> None:
    lows, highs = zip(
        *(proportion_confint(*counts, alpha=1 - confidence, method=how) for how in ("agresti_coull", "beta")),
        strict=True,
    )

    assert agresti_coull(*counts, confidence) == pytest.approx((max(lows), min(highs)), abs=1e-9)


@unhurried
@given(hits_of_n, st.floats(0.5, 0.999))
def test_the_exact_bounds_equal_scipy_one_side_at_a_time(counts: tuple[int, int], confidence: float) -> None:
    low = binomtest(*counts, alternative="greater").proportion_ci(confidence, method="exact").low
    high = binomtest(*counts, alternative="less").proportion_ci(confidence, method="exact").high

    assert exact(*counts, confidence) == pytest.approx((low, high), abs=1e-9)


@unhurried
@given(hits_of_n, thresholds)
def test_the_p_values_equal_scipy(counts: tuple[int, int], threshold: float) -> None:
    theirs = [binomtest(*counts, threshold, alternative=side).pvalue for side in ("less", "greater")]

    assert [p_below(*counts, threshold), p_above(*counts, threshold)] == pytest.approx(theirs, rel=1e-6, abs=1e-100)


@pytest.mark.parametrize("interval", [agresti_coull, exact])
def test_none_of_n_starts_at_zero_and_all_of_n_ends_at_one(interval: type[object]) -> None:
    ends = [(interval(0, n)[0], interval(n, n)[1]) for n in (1, 7, 300, 10_000)]  # type: ignore[call-arg, index]

    assert ends == [(0.0, 1.0)] * 4


@unhurried
@given(hits_of_n)
def test_an_interval_holds_its_share(counts: tuple[int, int]) -> None:
    share = counts[0] / counts[1]

    assert all(low <= share <= high for low, high in (agresti_coull(*counts), exact(*counts)))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("share", SHARES)
def test_exact_bounds_are_never_wrong_more_often_than_they_say(n: int, share: float) -> None:
    hits, chance = likely(n, share)
    lows, highs = np.array([exact(int(hit), n, 0.95) for hit in hits]).T

    wrong = max(chance[lows > share].sum(), chance[highs < share].sum())

    assert wrong <= 0.05 + NEGLIGIBLE * n


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("share", SHARES)
def test_the_displayed_interval_covers_as_often_as_it_says_but_for_half_a_point(n: int, share: float) -> None:
    assert covered(n, share) >= 0.945 - 1e-4


@pytest.mark.parametrize("n", [100, 892, 10_000])
def test_between_those_shares_it_covers_as_often_as_it_says_but_for_a_point(n: int) -> None:
    assert min(covered(n, float(share)) for share in np.linspace(0.9, 0.999, 34)) >= 0.94


@given(hits_of_n)
def test_the_displayed_interval_lies_mirrored_for_what_is_missed(counts: tuple[int, int]) -> None:
    hits, n = counts

    low, high = agresti_coull(hits, n)

    assert agresti_coull(n - hits, n) == pytest.approx((1 - high, 1 - low))
    assert low <= hits / n <= high


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(100, 3_000), st.floats(-0.05, 0.05))
def test_pairs_needed_is_the_first_size_at_which_the_score_leaves_the_threshold(
    b: int, c: int, n: int, threshold: float
) -> None:
    needed = pairs_needed(b, c, n, threshold)
    if needed is None:
        return

    scores = [abs(paired_score(b * m / n, c * m / n, m, threshold)) for m in (needed, max(needed - 1, 1))]

    assert scores[0] >= NormalDist().inv_cdf(0.95) - 1e-6
    assert needed == 1 or scores[1] <= NormalDist().inv_cdf(0.95) + 1e-6


@pytest.mark.parametrize("margin", [0.002, 0.004, 0.02, 0.1])
def test_equal_models_on_the_smallest_number_of_images_prove_the_margin_and_on_one_less_do_not(margin: float) -> None:
    n = smallest_n_for_equal(margin)

    assert paired(0, 0, n, 0.90)[0] >= -margin - 1e-12
    assert paired(0, 0, n - 1, 0.90)[0] < -margin


@pytest.mark.parametrize("measured", [agresti_coull, exact, p_below, p_above])
def test_a_share_of_no_images_is_not_a_number(measured: type[object]) -> None:
    with pytest.raises(NotMeasurable, match="no images"):
        measured(0, 0, 0.95)  # type: ignore[call-arg]


def test_more_hits_than_images_are_refused() -> None:
    with pytest.raises(ValueError, match="hits=11 is not between 0 and n=10"):
        exact(11, 10)


def test_holm_of_no_tests_is_empty() -> None:
    assert holm([]) == ()


@unhurried
@given(hits_of_n, thresholds, st.sampled_from(["at_least", "at_most"]))
def test_images_needed_is_the_first_size_at_which_the_bound_leaves_the_threshold(
    counts: tuple[int, int], threshold: float, rule: Rule
) -> None:
    needed = images_needed(*counts, threshold, rule)
    if needed is None:
        return

    share = counts[0] / counts[1]

    assert tail(share, needed, threshold) <= 0.05 + 1e-6
    assert needed == 1 or tail(share, needed - 1, threshold) >= 0.05 - 1e-6


def test_no_number_of_images_settles_a_share_that_is_the_threshold() -> None:
    assert images_needed(97, 100, 0.97, "at_least") is None


def test_over_ten_million_images_are_not_asked_for() -> None:
    assert images_needed(500_001, 1_000_000, 0.5, "at_least") is None


@unhurried
@given(st.floats(0.5, 0.9999), st.floats(0.5, 0.999))
def test_the_smallest_perfect_score_proves_the_threshold_and_one_image_less_does_not(
    threshold: float, confidence: float
) -> None:
    n = smallest_n_for_perfect(threshold, confidence)

    assert exact(n, n, confidence)[0] >= threshold
    assert n == 1 or exact(n - 1, n - 1, confidence)[0] < threshold


def test_it_takes_299_images_to_prove_99_percent() -> None:
    assert smallest_n_for_perfect(0.99, 0.95) == 299


@pytest.mark.parametrize(("n", "threshold"), [(100, 0.9), (892, 0.99), (1_000, 0.97), (10_000, 0.992)])
def test_a_model_this_far_below_fails_as_often_as_the_power_says(n: int, threshold: float) -> None:
    detectable_below = minimal_detectable_effect(n, threshold, 0.95, 0.8)

    assert detectable_below is not None
    assert chance_to_fail(n, threshold, threshold - detectable_below) == pytest.approx(0.8, abs=1e-6)


def test_three_images_cannot_show_that_a_fifth_is_missed() -> None:
    assert minimal_detectable_effect(3, 0.2) is None


@pytest.mark.parametrize(
    ("b", "c", "n", "confidence", "printed"),
    [
        pytest.param(3, 9, 32, 0.95, (-0.027, 0.390), id="Tango 1998, table VII"),
        pytest.param(1, 0, 44, 0.90, (-0.096, 0.037), id="Tango 1998, table V"),
        pytest.param(8, 16, 86, 0.95, (-0.020, 0.207), id="Agresti and Min 2005"),
        pytest.param(7, 1, 21, 0.95, (-0.517, -0.026), id="Fagerland, Lydersen and Laake 2014"),
    ],
)
def test_the_paired_interval_gives_the_printed_examples(
    b: int, c: int, n: int, confidence: float, printed: tuple[float, float]
) -> None:
    assert paired(b, c, n, confidence) == pytest.approx(printed, abs=6e-4)


@unhurried
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 10_000))
def test_the_paired_interval_ends_where_the_score_is_the_normal_quantile(b: int, c: int, concordant: int) -> None:
    n = b + c + concordant
    z = NormalDist().inv_cdf(0.975)

    low, high = paired(b, c, n)

    assert (paired_score(b, c, n, low), paired_score(b, c, n, high)) == pytest.approx((z, -z), abs=1e-6)


@unhurried
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 10_000))
def test_swapping_the_models_turns_the_paired_interval_around(b: int, c: int, concordant: int) -> None:
    n = b + c + concordant + 1

    low, high = paired(b, c, n)

    assert paired(c, b, n) == pytest.approx((-high, -low), abs=1e-12)


def test_two_models_that_never_differ_still_leave_doubt() -> None:
    z = NormalDist().inv_cdf(0.975)
    reach = z * z / (1_000 + z * z)

    assert paired(0, 0, 1_000) == pytest.approx((-reach, reach))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("discordance", [0.002, 0.005, 0.01, 0.02, 0.05])
@pytest.mark.parametrize("lean", [-0.5, 0.0, 0.5])
def test_paired_bounds_are_wrong_at_most_a_little_more_often_than_they_say(
    n: int, discordance: float, lean: float
) -> None:
    z = NormalDist().inv_cdf(0.95)
    difference = lean * discordance

    wrong_low = wrong_high = 0.0
    for b, c, chance in likely_pairs(n, discordance, difference):
        score = paired_score(b, c, n, difference)
        wrong_low += chance * (score > z)
        wrong_high += chance * (score < -z)

    assert max(wrong_low, wrong_high) <= 0.058


def test_pairs_without_images_are_not_a_number() -> None:
    with pytest.raises(NotMeasurable, match="both models"):
        paired(0, 0, 0)


def test_more_pairs_than_images_are_refused() -> None:
    with pytest.raises(ValueError, match="b=6 and c=5 are not disjoint parts of n=10"):
        paired(6, 5, 10)


@unhurried
@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_equals_statsmodels(b: int, c: int) -> None:
    theirs = 1.0 if b == c else mcnemar_of_statsmodels([[0, b], [c, 0]], exact=True).pvalue

    assert mcnemar(b, c) == pytest.approx(theirs, rel=1e-9)


def test_every_draw_has_as_many_images_as_were_seen() -> None:
    cells = np.array([[40, 2, 0], [1, 55, 3]])

    draws = resample_cells(cells, key=1, draws=500)

    assert set(draws.sum(axis=(1, 2))) == {101}


def test_draws_scatter_like_resampled_images() -> None:
    cells = np.array([[400, 20], [10, 570]])

    draws = resample_cells(cells, key=1, draws=20_000)

    assert draws.mean(axis=0) == pytest.approx(cells, rel=0.03)
    assert draws.var(axis=0) == pytest.approx(cells * (1 - cells / 1_000), rel=0.05)


def test_equal_keys_draw_equally_and_others_do_not() -> None:
    cells = np.array([40, 2, 7])

    first, again, other = (resample_cells(cells, key=key, draws=50) for key in (1, 1, 2))

    assert (np.array_equal(first, again), np.array_equal(first, other)) == (True, False)


def test_cells_without_images_cannot_be_resampled() -> None:
    with pytest.raises(NotMeasurable):
        resample_cells(np.zeros((2, 3), dtype=np.int64), key=1)


def likely(n: int, share: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """List every number of hits that is not negligibly rare, with its chance."""
    chance = binom.pmf(np.arange(n + 1), n, share)
    hits = np.flatnonzero(chance > NEGLIGIBLE)
    return hits, chance[hits]


def covered(n: int, share: float) -> float:
    """The chance that the displayed interval holds the share: the sum over every number of hits."""
    hits, chance = likely(n, share)
    lows, highs = np.array([agresti_coull(int(hit), n, 0.95) for hit in hits]).T
    return float(chance[(lows <= share) & (share <= highs)].sum())


def likely_pairs(n: int, discordance: float, difference: float) -> list[tuple[int, int, float]]:
    """(b, c, chance): every outcome of n pairs that is not negligibly rare."""
    pairs = []
    for discordant, chance in zip(*likely(n, discordance), strict=True):
        hits, split = likely(int(discordant), (discordance + difference) / (2 * discordance))
        pairs += [(int(discordant - c), int(c), float(chance * part)) for c, part in zip(hits, split, strict=True)]
    return pairs


def tail(share: float, n: int, threshold: float) -> float:
    """Chance at the threshold of a share of n as extreme as this one; a beta tail, as the hits may be fractional."""
    hits = share * n
    return float(
        beta.cdf(threshold, hits, n - hits + 1) if share > threshold else beta.sf(threshold, hits + 1, n - hits)
    )


def chance_to_fail(n: int, threshold: float, truth: float) -> float:
    """Compute how often the exact upper bound of a model of accuracy ``truth`` lies under the threshold."""
    failing = max(hits for hits in range(n) if binom.cdf(hits, n, threshold) < 0.05)
    return float(binom.cdf(failing, n, truth))
