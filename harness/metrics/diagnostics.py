"""Numbers that help to understand a model and decide nothing: no gate may name them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

from harness.errors import NotMeasurable
from harness.metrics.counting import answers_to
from harness.records import CLASSES, CLEAN, NO_ANSWER, Evidence, Labels, Measurement, Probabilities, Scope
from harness.statistics import reliability
from harness.statistics.estimates import Scores

_Z = NormalDist().inv_cdf(0.975)


def diagnostics(evidence: Evidence) -> tuple[Measurement, ...]:
    """Measure the areas under the curves, two-sided at 95 %; none where an image got no probabilities."""
    labels, rows = evidence.labels, evidence.probabilities
    if CLEAN not in evidence.answers or (answers_to(evidence, CLEAN) == NO_ANSWER).any():
        return ()
    try:
        sure = reliability.confidences(rows)
    except NotMeasurable:
        return ()
    wrong = (~reliability.right(labels, rows)).astype(np.float64)
    return (risk_coverage_area(sure, wrong), *_one_vs_rest(labels, rows))


def risk_coverage_area(sure: Scores, wrong: Scores) -> Measurement:
    """Average the share of mistakes among the k surest images, k = 1..n; images equally sure come together.

    The interval is normal on the logarithm; its width is that of the infinitesimal jackknife (Efron 1982). Without a
    mistake the upper end is what one would make of it if it came in the middle.
    """
    n = len(sure)
    _, place, count = np.unique(-sure, return_inverse=True, return_counts=True)
    so_far = np.cumsum(count)
    risk = np.cumsum(np.bincount(place, wrong)) / so_far
    area = float((count * risk).sum() / n)
    if area == 0:
        one = float((1 / np.arange(n // 2 + 1, n + 1)).sum()) / n
        return Measurement("risk_coverage_area", 0.0, 0.0, one, n, interval="one mistake more")
    later = np.cumsum((count / so_far)[::-1])[::-1]
    lost = np.cumsum((count * risk / so_far)[::-1])[::-1]
    moved = risk[place] - area + wrong * later[place] - lost[place]
    spread = _Z * float(np.sqrt((moved**2).sum())) / n / area
    low, high = area * math.exp(-spread), min(area * math.exp(spread), 1.0)
    return Measurement("risk_coverage_area", area, low, high, n, interval="jackknife on the logarithm")


def _one_vs_rest(labels: Labels, rows: Probabilities) -> Iterator[Measurement]:
    for digit in range(CLASSES):
        try:
            _, _, area = reliability.roc(labels, rows, digit)
        except NotMeasurable:
            continue
        own = rows[:, digit].astype(np.float64)
        low, high = area_bounds(own[labels == digit], own[labels != digit], area)
        yield Measurement(
            "one_vs_rest_auc",
            area,
            low,
            high,
            int((labels == digit).sum()),
            Scope(digit=digit),
            interval="DeLong, logit",
        )


def area_bounds(positive: Scores, negative: Scores, area: float) -> tuple[float, float]:
    """Bound an area under a ROC curve at 95 %, two-sided: DeLong, DeLong & Clarke-Pearson 1988, on the logit.

    Where all are told apart, as if one positive more had come last.
    """
    if not 0 < area < 1:
        one = 1 / (min(len(positive), len(negative)) + 1)
        return (max(area - one, 0.0), min(area + one, 1.0))
    spread = 0.0
    for own, other, sign in ((positive, negative, 1), (negative, positive, -1)):
        ordered = np.sort(sign * other)
        below = np.searchsorted(ordered, sign * own, "left") + np.searchsorted(ordered, sign * own, "right")
        spread += float((below / (2 * len(other))).var(ddof=1 if len(own) > 1 else 0)) / len(own)
    centre, wide = math.log(area / (1 - area)), _Z * math.sqrt(spread) / (area * (1 - area))
    return _share(centre - wide), _share(centre + wide)


def _share(logit: float) -> float:
    return 1 / (1 + math.exp(-max(min(logit, 700.0), -700.0)))
