"""The margin within which two models of one recipe lie: three and a half standard deviations of retraining.

Losses are means over images, larger is worse: of mistakes for an accuracy, of nats for log loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.records import RetrainingMargin

PRIOR = 4  # runs that the assumption counts as
DIGITS = 5  # after the point of a margin, so that it is judged as it is shown
DEVIATIONS = 3.5  # standard deviations of a new run minus the mean of the accepted
EARLIER = (3.0,)  # of baselines that were accepted by earlier releases


@dataclass(frozen=True)
class Assumed:
    """Prior of the spread that retraining causes, before there are runs.

    ``share``: standard deviation as a share of the mean loss. ``floor``: smallest margin. ``by_image``: the loss is a
    mistake, of which one half is another seed's luck. ``luck``: of other losses, the variance of an image's that is.
    """

    share: float
    floor: float
    by_image: bool = True
    luck: float = 0.0

    def deviation(self, mean: float, n: int) -> float:
        """Return the standard deviation of a mean loss over ``n`` images."""
        return math.sqrt((self.share * mean) ** 2 + (mean / (2 * n) if self.by_image else self.luck / n))


def margin(losses: Sequence[float], n: int, assumed: Assumed) -> RetrainingMargin:
    """Compute the margin from the mean loss of each accepted run over ``n`` images.

    The variance of the runs (k - 1 degrees of freedom) is shrunk to the assumed one, which counts as PRIOR runs.
    """
    k, mean = len(losses), float(np.mean(losses))
    before = assumed.deviation(mean, n)
    own = float(np.std(losses, ddof=1)) if k > 1 else None
    deviation = math.sqrt((PRIOR * before**2 + (k - 1) * (own or 0.0) ** 2) / (PRIOR + k - 1))
    value = _margin(deviation, assumed.floor, k, DEVIATIONS)
    return RetrainingMargin(value, assumed.floor, tuple(losses), before, own, deviation, DEVIATIONS)


def agrees(margin: RetrainingMargin) -> bool:
    """Tell whether a margin is what its parts give."""
    value = _margin(margin.deviation, margin.floor, len(margin.losses), margin.deviations)
    return margin.deviations in (DEVIATIONS, *EARLIER) and margin.value == value


def _margin(deviation: float, floor: float, k: int, deviations: float) -> float:
    return round(max(floor, deviations * deviation * math.sqrt(1 + 1 / k)), DIGITS)
