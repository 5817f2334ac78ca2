"""Uncertainty of a share: display and deciding intervals, p-values, and the information in n images. Numbers in and
out.

Scipy is imported inside the functions that need it: it costs more than everything else ``harness gate`` imports.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.records import Rule

Many: TypeAlias = NDArray[np.float64]

DRAWS = 2_000
MAX_IMAGES = 10_000_000
_NO_IMAGE = 1e-9  # images: less is rounding


def agresti_coull(hits: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Compute a two-sided interval for display: z^2 / 2 successes more, never beyond the exact interval.

    After Agresti & Coull 1998. At the shares where digits are read, 0.9 to 0.999 of 100 to 10,000 images, it covers
    94.5 % and more; Wilson's 90.5 %, and 93.6 % also with its ends mended (Brown, Cai & DasGupta 2001, section 4.1.1).
    """
    least, most = exact(hits, n, 0.5 + confidence / 2)
    if 0.5 + confidence / 2 >= 1:
        return least, most
    z = _z(0.5 + confidence / 2)
    images = n + z * z
    share = (hits + z * z / 2) / images
    half = z * math.sqrt(share * (1 - share) / images)
    return max(least, share - half), min(most, share + half)


def exact(hits: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Compute two one-sided bounds of a share, each at ``confidence``, for deciding. After Clopper & Pearson 1934."""
    return exact_at(hits, n, 1 - confidence)


def exact_at(hits: float, n: float, level: float) -> tuple[float, float]:
    """Compute the same from the error level, which may be too small to be told from 0 in a confidence."""
    _check(hits, n)
    return _low(hits, n, level), _high(hits, n, level)


def p_below(hits: float, n: float, threshold: float) -> float:
    """Test that the true share is under ``threshold``: P(X <= hits) if it were exactly there."""
    from scipy.special import betaincc

    _check(hits, n)
    return 1.0 if hits == n else float(betaincc(hits + 1, n - hits, threshold))


def p_above(hits: float, n: float, threshold: float) -> float:
    """Test that the true share is over ``threshold``: P(X >= hits) if it were exactly there."""
    from scipy.special import betainc

    _check(hits, n)
    return 1.0 if hits == 0 else float(betainc(hits, n - hits + 1, threshold))


def p_drawn(wrong: int, n: int, all_wrong: int, all_n: int) -> float:
    """Test that ``n`` of ``all_n`` images hold more than their part of the mistakes: P(``wrong`` or more there)."""
    from scipy.special import gammaln

    def ways(of: int, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        logs: NDArray[np.float64] = gammaln(of + 1) - gammaln(chosen + 1) - gammaln(of - chosen + 1)
        return logs

    if wrong <= max(0, n + all_wrong - all_n):
        return 1.0
    k = np.arange(wrong, min(all_wrong, n) + 1)
    logs = ways(all_wrong, k) + ways(all_n - all_wrong, n - k) - ways(all_n, np.array(n))
    return float(min(1.0, np.exp(logs).sum()))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values, in the order given: declaring those <= alpha keeps the family's error at alpha. Holm 1979."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [1.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return tuple(adjusted)


def images_needed(hits: int, n: int, threshold: float, rule: Rule, confidence: float = 0.95) -> int | None:
    """Compute the fewest images at which the same share would settle the gate.

    None if the share is the threshold itself or it would take over 10 million. Hits may be fractional, so that
    the bound moves one way as images are added.
    """
    _check(hits, n)
    share = hits / n
    if share == threshold:
        return None

    def settled(images: int) -> bool:
        if share > threshold:
            low = _low(share * images, images, 1 - confidence)
            return low >= threshold if rule == "at_least" else low > threshold
        high = _high(share * images, images, 1 - confidence)
        return high <= threshold if rule == "at_most" else high < threshold

    return _fewest(settled)


def smallest_n_for_perfect(threshold: float, confidence: float = 0.95) -> int:
    """Compute the fewest images of which n out of n prove ``threshold`` (0 < threshold < 1)."""
    n = max(1, math.floor(math.log(1 - confidence) / math.log(threshold)) - 1)
    while exact(n, n, confidence)[0] < threshold:
        n += 1
    return n


def minimal_detectable_effect(n: int, threshold: float, confidence: float = 0.95, power: float = 0.8) -> float | None:
    """Compute the smallest distance under ``threshold`` at which n images *fail* with probability ``power``.

    Exact binomial: the gate fails at up to ``most`` hits; the answer is the distance to the share p at which
    P(X <= most | p) = power. None if not even a model that is always wrong would fail.
    """
    from scipy.special import betaincinv

    _check(0, n)
    if p_below(0, n, threshold) >= 1 - confidence:
        return None
    most = (_fewest(lambda hits: p_below(hits, n, threshold) >= 1 - confidence, n) or n) - 1
    return threshold - float(betaincinv(most + 1, n - most, 1 - power))


def minimal_passing_share(n: int, threshold: float, confidence: float = 0.95, power: float = 0.8) -> float | None:
    """Compute the true share from which n images prove ``threshold`` with probability ``power``, or None."""
    from scipy.special import betaincinv

    fewest = _fewest_proving(n, threshold, confidence)
    return None if fewest is None else float(betaincinv(fewest, n - fewest + 1, power))


def size_at_threshold(n: int, threshold: float, confidence: float = 0.95) -> float:
    """Compute the probability that a share exactly at ``threshold`` is taken for proven: <= 1 - confidence."""
    fewest = _fewest_proving(n, threshold, confidence)
    return 0.0 if fewest is None else p_above(fewest, n, threshold)


def _fewest_proving(n: int, threshold: float, confidence: float) -> int | None:
    """Find the fewest successes among n whose lower bound is at least ``threshold``."""
    _check(0, n)
    return _fewest(lambda hits: p_above(hits, n, threshold) <= 1 - confidence, n)


def paired(b: int, c: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Compute a score interval of (c - b) / n; b, c: only the baseline, the candidate is right. After Tango 1998.

    For one-sided bounds, each at 95 %, ask for a confidence of 0.90.
    """
    return paired_at(b, c, n, _z(0.5 + confidence / 2))


def paired_at(b: int, c: int, n: int, z: float) -> tuple[float, float]:
    """Compute the same from the normal score ``z`` of its ends."""
    if n == 0:
        raise NotMeasurable("no images on which both models answered")
    if min(b, c) < 0 or b + c > n:
        raise ValueError(f"b={b} and c={c} are not disjoint parts of n={n} images")
    return _where_score_is(z, b, c, n, (-1.0, (c - b) / n)), _where_score_is(-z, b, c, n, ((c - b) / n, 1.0))


def paired_score(b: float, c: float, n: int, difference: float) -> float:
    """Compute the standard normal score of (c - b) / n if the true one were ``difference``. Tango 1998, eq. 9.

    The chance of "only the baseline is right" is its maximum-likelihood estimate under that difference: the larger
    root of 2n q^2 + linear q + constant = 0.
    """
    linear = -(b + c) + (2 * n + b - c) * difference
    constant = -b * difference * (1 - difference)
    root = math.sqrt(max(0.0, linear * linear - 8 * n * constant))
    only_baseline = -2 * constant / (linear + root) if linear > 0 else (root - linear) / (4 * n)
    distance = c - b - n * difference
    variance = n * (2 * only_baseline + difference * (1 - difference))
    if variance <= 0:
        return 0.0 if abs(distance) < _NO_IMAGE else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def paired_scores(b: Many, c: Many, n: Many, difference: float) -> Many:
    """Compute ``paired_score`` of many pairs at once."""
    linear = -(b + c) + (2 * n + b - c) * difference
    constant = -b * difference * (1 - difference)
    root = np.sqrt(np.maximum(0.0, linear * linear - 8 * n * constant))
    with np.errstate(divide="ignore", invalid="ignore"):
        only_baseline = np.where(linear > 0, -2 * constant / (linear + root), (root - linear) / (4 * n))
        distance = c - b - n * difference
        variance = n * (2 * only_baseline + difference * (1 - difference))
        scores: Many = np.where(abs(distance) < _NO_IMAGE, 0.0, distance / np.sqrt(np.maximum(variance, 0.0)))
    return scores


def pairs_needed(b: int, c: int, n: int, threshold: float, confidence: float = 0.95) -> int | None:
    """Compute the fewest images at which as many flips an image, b and c of n, settle a gate on their difference.

    None if the difference is the threshold itself or it would take over 10 million.
    """
    share = (c - b) / n
    if share == threshold:
        return None
    z = _z(confidence) if share > threshold else -_z(confidence)

    def settled(images: int) -> bool:
        score = paired_score(b * images / n, c * images / n, images, threshold)
        return score >= z if share > threshold else score <= z

    return _fewest(settled)


def smallest_n_for_equal(margin: float, confidence: float = 0.95) -> int:
    """Compute the fewest images that show two equal models to be within ``margin``: z^2 / (n + z^2)."""
    square = _z(confidence) ** 2
    return max(1, math.ceil(square * (1 - margin) / margin - 1e-9))


def mcnemar(b: int, c: int) -> float:
    """Test that both are right equally often, exactly and two-sided: b ~ Binomial(b + c, 1/2). After McNemar 1947."""
    return 1.0 if b == c else min(1.0, 2 * p_below(min(b, c), b + c, 0.5))


def resample_cells(cells: NDArray[np.int64], *, key: int, draws: int = DRAWS) -> NDArray[np.int64]:
    """Resample images, for a function of counts: (draws, *cells.shape), equal for equal keys.

    Drawing n images with replacement is one multinomial draw over the cells. After Efron & Tibshirani 1993.
    """
    n = int(cells.sum())
    if n == 0:
        raise NotMeasurable("no images in any cell")
    rng = np.random.Generator(np.random.Philox(key=key))
    flat = cells.reshape(-1)
    occupied = np.flatnonzero(flat)
    resampled = np.zeros((draws, flat.size), dtype=np.int64)
    resampled[:, occupied] = rng.multinomial(n, flat[occupied] / n, size=draws)
    return resampled.reshape(draws, *cells.shape)


def _check(hits: float, n: float) -> None:
    if n == 0:
        raise NotMeasurable("no images: a share of none does not exist")
    if not 0 <= hits <= n:
        raise ValueError(f"hits={hits} is not between 0 and n={n}")


def _fewest(settled: Callable[[int], bool], most: int = MAX_IMAGES) -> int | None:
    """Find by bisection the fewest, 1 to ``most``, that settle it, as all more do; None if ``most`` do not."""
    if not settled(most):
        return None
    few, enough = 0, most
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if settled(middle) else (middle, enough)
    return enough


def _z(share: float) -> float:
    return NormalDist().inv_cdf(share)


def _low(hits: float, n: float, alpha: float) -> float:
    from scipy.special import betaincinv

    return 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, alpha))


def _high(hits: float, n: float, alpha: float) -> float:
    from scipy.special import betainccinv

    return 1.0 if hits >= n else float(betainccinv(hits + 1, n - hits, alpha))


def _where_score_is(z: float, b: int, c: int, n: int, between: tuple[float, float]) -> float:
    """Find the difference whose score is ``z`` by bisection; the score falls as the difference grows."""
    low, high = between
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if paired_score(b, c, n, middle) > z else (low, middle)
    return (low + high) / 2
