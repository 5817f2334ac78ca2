"""Error rates of a bound where writers are drawn anew: MNIST's 297, on the answers of kept models."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtr, stdtrit

from harness.judging import gates, verdict
from harness.metrics import evaluate
from harness.records import CLEAN, Codes, Mask, Severity, Trial
from harness.statistics.estimates import Share
from harness.statistics.grouping import NO_MISTAKE, of_share
from tests.statistical.test_retrains import KEPT, PAIRS, fallen, with_logits_times
from tests.support import retrains

SETS = 2_000
AT_ONCE = 2_000
Counts = NDArray[np.float64]
THICK = Severity("thickening", 2)


class Wrong(NamedTuple):
    """In how many of 100 test sets a one-sided bound at 95 % is on the wrong side of the truth."""

    low: float  # the lower bound lies above it: what is released wrongly
    high: float


@cache
def writers() -> Codes:
    codes = retrains.by_writer(retrains.evidence("cnn-00")).codes
    assert codes is not None
    return codes


def redrawn(right: Mask, codes: Codes, *, grouped: bool, sets: int = SETS) -> Wrong:
    """Draw as many units as there are, with replacement; a unit drawn twice is two."""
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    truth, rng = right.mean(), np.random.Generator(np.random.Philox(key=7))
    low = high = 0
    for _ in range(sets):
        drawn = [members[at] for at in rng.integers(0, len(members), len(members))]
        those = right[np.concatenate(drawn)]
        units = np.repeat(np.arange(len(drawn), dtype=np.int32), [len(each) for each in drawn])
        effect = of_share(those, units) if grouped else None
        (least, most), _ = Share(int(those.sum()), len(those), effect).bounds(0.95)
        low, high = low + (least > truth), high + (most < truth)
    return Wrong(100 * low / sets, 100 * high / sets)


def design(right: Mask, codes: Codes) -> float:
    effect = of_share(right, codes)
    return effect.design if effect else 1.0


def answered(name: str, trial: Trial) -> Mask:
    right: Mask = retrains.evidence(name).answers[trial] == retrains.labels()
    return right


def lower_bounds(images: Counts, wrong: Counts, errors: float = 1.0) -> Counts:
    """Compute the lower bound of a share for each row of units (sets, units), as ``grouping.effect`` and Share do.

    ``errors``: standard errors of the design effect that are added to it.
    """
    n, units = images.sum(1), images.shape[1]
    missed = wrong.sum(1) / n
    hit = 1 - missed
    sums = (images - wrong) * missed[:, None] - wrong * hit[:, None]
    squares = (images - wrong) * missed[:, None] ** 2 + wrong * hit[:, None] ** 2
    total, size = squares.sum(1), (images**2).sum(1) / n
    with np.errstate(invalid="ignore", divide="ignore"):  # without any mistake
        jackknife = (n - 1) / n * (units - 1) / units * ((sums / (1 - images / n[:, None])) ** 2).sum(1) / total
        most = np.maximum(hit, missed)
        error = np.sqrt(((sums**2 - squares) ** 2).sum(1) + (2 * most**2) ** 2) / total
        first = np.maximum(1, jackknife)
        effect = np.minimum(first + errors * error, np.maximum(size, first))
    effect = np.where(total > 0, effect, np.minimum(1 + errors * (NO_MISTAKE - 1), size))
    level = stdtr(n - 1, stdtrit(n / size - 1, 0.05))
    told = n / effect
    bounds: Counts = betaincinv(hit * told, missed * told + 1, level)
    return bounds


def released(right: Mask, codes: Codes, sets: int, errors: float = 1.0) -> float:
    """Count in how many of 100 test sets the lower bound by writer lies above the truth."""
    images, wrong = by_unit(right, codes)
    rng, above = np.random.Generator(np.random.Philox(key=7)), 0
    for _ in range(sets // AT_ONCE):
        drawn = rng.integers(0, len(images), (AT_ONCE, len(images)))
        above += int((lower_bounds(images[drawn], wrong[drawn], errors) > right.mean()).sum())
    return 100 * above / sets


def by_unit(right: Mask, codes: Codes) -> tuple[Counts, Counts]:
    """Count the images of each unit that has any, and those that are wrong."""
    images, wrong = np.bincount(codes).astype(np.float64), np.bincount(codes, ~right).astype(np.float64)
    return images[images > 0], wrong[images > 0]


@pytest.mark.parametrize("name", ["cnn-03", "mlp-02", "mlp-06"])
def test_the_bounds_of_many_test_sets_at_once_are_those_of_each(name: str) -> None:
    right, labels = answered(name, CLEAN), retrains.labels()
    for among in [labels >= 0, *(labels == digit for digit in range(10)), right]:
        of, codes = right[among], writers()[among]
        images, wrong = by_unit(of, codes)
        (least, _), _ = Share(int(of.sum()), len(of), of_share(of, codes)).bounds(0.95)

        assert lower_bounds(images[None], wrong[None])[0] == pytest.approx(least, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "trial", "most"),
    [("cnn-03", CLEAN, 5.5), ("mlp-02", CLEAN, 5.5), ("cnn-03", THICK, 8), ("mlp-02", THICK, 8)],
)
def test_a_bound_of_accuracy_holds_for_the_next_writers(name: str, trial: Trial, most: float) -> None:
    found = redrawn(answered(name, trial), writers(), grouped=True)

    assert found.low <= most
    assert found.high <= most


@pytest.mark.parametrize(
    ("name", "trial"), [("cnn-03", CLEAN), ("mlp-02", CLEAN), ("cnn-03", THICK), ("mlp-02", THICK)]
)
def test_without_groups_it_does_not(name: str, trial: Trial) -> None:
    assert redrawn(answered(name, trial), writers(), grouped=False).low >= 8


@pytest.mark.parametrize("name", ["cnn-03", "mlp-02"])
def test_a_bound_of_each_recall_holds_for_the_next_writers(name: str) -> None:
    right, labels = answered(name, CLEAN), retrains.labels()

    of_digit = {digit: (right[labels == digit], writers()[labels == digit]) for digit in range(10)}
    found = {digit: redrawn(*of_digit[digit], grouped=True, sets=500).low for digit in of_digit}
    worst = max(found, key=lambda digit: found[digit])

    assert redrawn(*of_digit[worst], grouped=True, sets=10 * SETS).low <= 8


@pytest.mark.parametrize(("grouped", "least", "most"), [(True, 0, 8), (False, 8, 100)])
def test_fifty_units_whose_mistakes_are_alike(grouped: bool, least: float, most: float) -> None:
    """Shares of the units are beta distributed, with a correlation of 0.05 within a unit."""
    rng, p, alike, wrong, sets = np.random.Generator(np.random.Philox(key=8)), 0.98, 0.05, 0, 1_000
    codes = np.repeat(np.arange(50, dtype=np.int32), 30)
    for _ in range(sets):
        shares = rng.beta(p * (1 / alike - 1), (1 - p) * (1 / alike - 1), 50)
        right = rng.random(1_500) < shares[codes]
        effect = of_share(right, codes) if grouped else None
        wrong += Share(int(right.sum()), 1_500, effect).bounds(0.95)[0][0] > p

    assert least <= 100 * wrong / sets <= most


@pytest.mark.parametrize("arch", ["cnn", "mlp"])
def test_what_is_retrained_with_another_seed_is_not_stopped_where_writers_are_known(arch: str) -> None:
    names = [f"{arch}-{seed:02}" for seed in retrains.SEEDS]
    found: Counter[str] = Counter()
    for one, next_ in zip(names, names[1:] + names[:1], strict=True):
        evidence = retrains.by_writer(retrains.against(retrains.evidence(one), retrains.evidence(next_)))
        found[verdict.of(gates.judge_all(evaluate(evidence, KEPT))).word] += 1

    assert found["blocked"] == 0
    assert found["no_verdict"] <= 2


@pytest.mark.parametrize(("name", "last"), PAIRS)
def test_a_worse_model_is_not_released_where_writers_are_known(name: str, last: str) -> None:
    before = retrains.evidence(last)
    worse = [fallen(retrains.evidence(name), before, images=50), with_logits_times(retrains.evidence(name), 6.0)]
    judged = [evaluate(retrains.by_writer(retrains.against(one, before)), KEPT) for one in worse]

    assert [verdict.of(gates.judge_all(one)).exit_code for one in judged].count(0) == 0
