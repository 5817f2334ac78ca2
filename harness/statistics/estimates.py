"""A number estimated from images: its value, its deciding bounds, its p-value, its display interval.

Four kinds, one shape. A metric returns one of them, and everything else (gates, Holm, tables) follows from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.errors import NotMeasurable
from harness.records import CLASSES, Codes, Rule
from harness.statistics.grouping import Effect
from harness.statistics.grouping import effect as design_effect
from harness.statistics.intervals import DRAWS, agresti_coull, exact, exact_at, p_above, p_below, resample_cells

Bounds: TypeAlias = tuple[float, float]
Counts: TypeAlias = NDArray[np.int64]  # (..., k, k + 1): true, said; last column: no answer
Scores: TypeAlias = NDArray[np.float64]
Cells: TypeAlias = NDArray[np.intp]  # (n,), the place of each image in its matrix, flat

DISPLAYED = 0.95
KEY = 20_251_122  # of every bootstrap, so that equal evidence gives equal bounds

_BLOCK = 50  # draws of losses held at a time
_FEW_VALUES = 100  # different losses
_CELLS = CLASSES * (CLASSES + 1)
_ONE_IMAGE: Counts = np.eye(_CELLS, dtype=np.int64).reshape(_CELLS, CLASSES, CLASSES + 1)  # a matrix a cell
_ONE_WRONG_IMAGE = _ONE_IMAGE[~np.eye(CLASSES, CLASSES + 1, dtype=np.bool_).reshape(-1)]


class Estimate(Protocol):
    """A number estimated from ``n`` images, with its uncertainty."""

    @property
    def value(self) -> float:
        """Return the point estimate."""

    @property
    def n(self) -> int:
        """Return the number of images."""

    @property
    def hits(self) -> int | None:
        """Return the number of successes; None where the estimate is no share."""

    @property
    def effect(self) -> Effect | None:
        """Return the design effect of the images' units; None for independent images."""

    def bounds(self, confidence: float) -> tuple[Bounds, str]:
        """Compute two one-sided bounds, each at ``confidence``, and name the method."""

    def display(self) -> tuple[Bounds, str]:
        """Compute a two-sided 95 % interval, and name the method."""

    def p_value(self, rule: Rule, threshold: float) -> float:
        """Compute the p-value of the hypothesis that the threshold is met; a small one is evidence of a miss."""


@dataclass(frozen=True)
class Share:
    """A share: ``hits`` of ``n`` images, binomial where these are independent.

    Images of units count as n / D independent ones (Korn & Graubard 1998), at the level of Student's t.
    """

    hits: int
    n: int
    effect: Effect | None = None

    def __post_init__(self) -> None:
        if self.n == 0:
            raise NotMeasurable("no images: a share of none does not exist")

    @property
    def value(self) -> float:
        """Return the share."""
        return self.hits / self.n

    def bounds(self, confidence: float) -> tuple[Bounds, str]:
        """Compute Clopper-Pearson bounds."""
        if self.effect is None:
            return exact(self.hits, self.n, confidence), f"exact, one-sided at {confidence:.10g}"
        level = self.effect.level(1 - confidence)
        return exact_at(*self._independent, level), f"{design_based(self.effect)}, one-sided at {confidence:.10g}"

    def display(self) -> tuple[Bounds, str]:
        """Compute an Agresti-Coull interval."""
        if self.effect is None:
            return agresti_coull(self.hits, self.n, DISPLAYED), "Agresti-Coull, two-sided at 0.95"
        sure = 1 - 2 * self.effect.level((1 - DISPLAYED) / 2)
        return agresti_coull(*self._independent, sure), f"{design_based(self.effect)}, Agresti-Coull, two-sided at 0.95"

    def p_value(self, rule: Rule, threshold: float) -> float:
        """Compute the binomial p-value."""
        tail = p_below if rule == "at_least" else p_above
        if self.effect is None:
            return tail(self.hits, self.n, threshold)
        p = tail(*self._independent, threshold)
        return p if p == 1 else float(self.effect.raised(p))

    @property
    def _independent(self) -> tuple[float, float]:
        """Return successes and images of a share of independent images that tells as much."""
        n = self.effect.images if self.effect else float(self.n)
        return (n if self.hits == self.n else self.hits / self.n * n), n


@dataclass(frozen=True)
class F1Share:
    """The F1 score of a digit, exactly: 2 J / (1 + J), where J is a share of images.

    J = hits / n: of the n images that are the digit or were called it, those that are both (Jaccard 1912). Given n,
    hits is binomial, and F1 grows with J; so bounds of J are bounds of F1, and no bootstrap is needed.
    """

    share: Share
    hits: None = None

    @property
    def value(self) -> float:
        """Return the F1 score."""
        return f1_of_share(self.share.value)

    @property
    def n(self) -> int:
        """Return the number of images that are the digit or are taken for it."""
        return self.share.n

    @property
    def effect(self) -> Effect | None:
        """Return the design effect of J."""
        return self.share.effect

    def bounds(self, confidence: float) -> tuple[Bounds, str]:
        """Transform the bounds of J."""
        (low, high), how = self.share.bounds(confidence)
        return (f1_of_share(low), f1_of_share(high)), how

    def display(self) -> tuple[Bounds, str]:
        """Transform the interval of J."""
        (low, high), how = self.share.display()
        return (f1_of_share(low), f1_of_share(high)), how

    def p_value(self, rule: Rule, threshold: float) -> float:
        """Compute the p-value of J at the transformed threshold."""
        return self.share.p_value(rule, share_of_f1(threshold))


@dataclass(frozen=True)
class WorstOf:
    """The lowest or the highest of several shares (worst class, largest confusion).

    On the side where all shares must hold, no correction is due (intersection-union, Berger 1982); on the side where
    one share suffices, the chance of error is divided by how many there are (Bonferroni).
    """

    shares: Sequence[Share]
    rule: Rule  # at_least: the lowest of them; at_most: the highest
    names: Sequence[str] = ()  # of the shares, in words

    @property
    def _worst(self) -> Share:
        return (min if self.rule == "at_least" else max)(self.shares, key=lambda share: share.value)

    @property
    def part(self) -> str:
        """Return the name of the extreme share."""
        return self.names[self.shares.index(self._worst)] if self.names else ""

    @property
    def value(self) -> float:
        """Return the extreme share."""
        return self._worst.value

    @property
    def n(self) -> int:
        """Return the number of images of the extreme share."""
        return self._worst.n

    @property
    def hits(self) -> int:
        """Return the number of successes of the extreme share."""
        return self._worst.hits

    @property
    def effect(self) -> Effect | None:
        """Return the design effect of the extreme share."""
        return self._worst.effect

    def bounds(self, confidence: float) -> tuple[Bounds, str]:
        """Compute exact bounds; the one that a single share can move is Bonferroni-corrected."""
        alone = [share.bounds(confidence)[0] for share in self.shares]
        among = [share.bounds(1 - (1 - confidence) / len(self.shares))[0] for share in self.shares]
        how = f"{self._how}, one-sided at {confidence:.10g}{self._among}"
        if self.rule == "at_least":
            return (min(low for low, _ in alone), min(high for _, high in among)), how
        return (max(low for low, _ in among), max(high for _, high in alone)), how

    def display(self) -> tuple[Bounds, str]:
        """Compute the two-sided interval as ``bounds`` does."""
        how = f"{self._how}, two-sided at 0.95{self._among}"
        return self.bounds(0.5 + DISPLAYED / 2)[0], how

    def p_value(self, rule: Rule, threshold: float) -> float:
        """Combine the p-values: Bonferroni where one miss suffices, otherwise their largest."""
        each = [share.p_value(rule, threshold) for share in self.shares]
        return min(1.0, len(each) * min(each)) if rule == self.rule else max(each)

    @property
    def _among(self) -> str:
        return f", over {len(self.shares)} shares" if len(self.shares) > 1 else ""

    @property
    def _how(self) -> str:
        if self.effect:
            return design_based(self.effect)
        return "design-based" if any(share.effect for share in self.shares) else "exact"


@dataclass(frozen=True)
class Resampled:
    """An estimate without a formula for its error, by bootstrap percentiles (Efron & Tibshirani 1993).

    A bootstrap never draws what was not seen: 100 of 100 right would be "certainly perfect". So the draws for the
    unfavourable bound see one image more of the worst kind (on average), as the exact bound of a share does.
    ``lows`` and ``highs`` hold one value a draw; where they differ, it is by that image. A threshold that no draw
    meets has the p-value of a normal curve through the draws: with many gates, one in the draws is not small enough.
    Where images come in units the draws are stretched from the value by the root of the design effect, within ``ends``.
    """

    value: float
    n: int
    lows: Scores
    highs: Scores
    hits: None = None
    effect: Effect | None = None
    ends: Bounds = (-math.inf, math.inf)

    def bounds(self, confidence: float) -> tuple[Bounds, str]:
        """Compute percentile bounds."""
        return self._percentiles(1 - confidence), f"{self._how}, one-sided at {confidence:.10g}"

    def display(self) -> tuple[Bounds, str]:
        """Compute the 95 % percentile interval."""
        return self._percentiles((1 - DISPLAYED) / 2), f"{self._how}, two-sided at 0.95"

    def p_value(self, rule: Rule, threshold: float) -> float:
        """Compute the share of draws that meet the threshold; where none does, the tail of a normal curve."""
        if self.effect is not None:
            near = self.value + (threshold - self.value) / self.effect.width
            return float(self.effect.raised(replace(self, effect=None).p_value(rule, near)))
        draws = self.highs if rule == "at_least" else self.lows
        met = int((draws >= threshold if rule == "at_least" else draws <= threshold).sum())
        p = (1 + met) / (1 + len(draws))
        spread = float(draws.std())
        if met or not spread:
            return p
        return min(p, NormalDist(0, spread).cdf(-abs(threshold - float(draws.mean()))))

    @property
    def _how(self) -> str:
        how = f"bootstrap of {len(self.lows):,} draws"
        return how if self.effect is None else f"{how}, stretched for a design effect of {self.effect.design:.2f}"

    def _percentiles(self, alpha: float) -> Bounds:
        level, width = (self.effect.level(alpha), self.effect.width) if self.effect else (alpha, 1.0)
        low = float(np.quantile(self.lows, level, method="lower"))
        high = float(np.quantile(self.highs, 1 - level, method="higher"))
        if self.effect:
            low = max(self.ends[0], self.value + (low - self.value) * width)
            high = min(self.ends[1], self.value + (high - self.value) * width)
        return min(low, self.value), max(high, self.value)


def from_counts(
    counts: Counts, statistic: Callable[[Counts], Scores], cells: Cells | None = None, codes: Codes | None = None
) -> Resampled:
    """Estimate a score of the confusion matrix, 0..1, higher is better; ``statistic``: (draws, k, k + 1) -> (draws,).

    Where a draw has no score (NaN: no image, or no answer, of some digit) it counts against either bound.
    ``cells``: (n,) the cell of each image; ``codes``: its unit.
    """
    draws, extra = _count_draws(counts.tobytes())
    hurts_most = _ONE_WRONG_IMAGE[np.argmin(statistic(counts + _ONE_WRONG_IMAGE))]
    lows = statistic(draws + extra[:, None, None] * hurts_most)
    highs = statistic(draws)
    value = float(statistic(counts[None])[0])
    effect = (
        None if codes is None or cells is None else design_effect(centred(influence(counts, statistic)[cells]), codes)
    )
    lows, highs = np.nan_to_num(lows, nan=0.0), np.nan_to_num(highs, nan=1.0)
    return Resampled(value, int(counts.sum()), lows, highs, effect=effect, ends=(0.0, 1.0))


def influence(counts: Counts, statistic: Callable[[Counts], Scores]) -> Scores:
    """Compute by how much an image of each cell moves a score of the confusion matrix; 0 where no score is left."""
    moved: Scores = statistic(counts[None]) - statistic(counts - _ONE_IMAGE * (counts > 0))
    return np.nan_to_num(moved, nan=0.0)


def centred(numbers: Scores) -> Scores:
    """Subtract the mean."""
    from_mean: Scores = numbers - numbers.mean()
    return from_mean


def from_losses(losses: Scores, worst: float, codes: Codes | None = None) -> Resampled:
    """Estimate the mean of one loss an image (n,), lower is better and none above ``worst``; ``codes``: their units.

    Losses have a long tail: a hundred images rarely show its end, hence one image more at ``worst``.
    """
    n, (values, counts) = len(losses), np.unique(losses, return_counts=True)
    few = len(values) <= _FEW_VALUES
    means = _few_draws(values, counts) if few else _loss_draws(losses.astype(np.float64).tobytes())
    extra = extra_images(n)
    highs = (n * means + extra * worst) / (n + extra)
    effect = design_effect(centred(losses), codes)
    return Resampled(float(losses.mean()), n, means, highs, effect=effect, ends=(0.0, worst))


def from_scores(scores: Scores, codes: Codes | None = None) -> Resampled:
    """Estimate the mean of one score an image (n,), 0..1, higher is better; ``codes``: their units."""
    lost = from_losses(1 - scores, 1.0, codes)
    return Resampled(float(scores.mean()), lost.n, 1 - lost.highs, 1 - lost.lows, effect=lost.effect, ends=(0.0, 1.0))


def design_based(effect: Effect) -> str:
    """Say what the images of units tell as much as."""
    return f"design-based: as {effect.images:,.0f} independent images (design effect {effect.design:.2f})"


def f1_of_share(share: float) -> float:
    """Transform a share J to F1: 2 J / (1 + J)."""
    return 2 * share / (1 + share)


def share_of_f1(f1: float) -> float:
    """Transform F1 to the share J: F1 / (2 - F1)."""
    return f1 / (2 - f1)


@lru_cache(maxsize=8)
def _count_draws(cells: bytes) -> tuple[Counts, NDArray[np.int64]]:
    """Resample a matrix (as int64 bytes), with how often each draw sees one image more; for all scores."""
    counts = np.frombuffer(cells, dtype=np.int64).reshape(CLASSES, CLASSES + 1)
    return resample_cells(counts, key=KEY), extra_images(int(counts.sum()))


def _few_draws(values: Scores, counts: NDArray[np.int64]) -> Scores:
    """Resample means of losses that have few values, each of so many images."""
    means: Scores = resample_cells(counts, key=KEY) @ values / counts.sum()
    return means


@lru_cache(maxsize=16)
def _loss_draws(content: bytes) -> Scores:
    """Resample means of losses (as float64 bytes), which several gates and the report ask for."""
    losses = np.frombuffer(content)
    n = len(losses)
    rng = np.random.Generator(np.random.Philox(key=KEY))
    blocks = [losses[rng.integers(0, n, (_BLOCK, n), dtype=np.int32)].mean(axis=1) for _ in range(DRAWS // _BLOCK)]
    return np.concatenate(blocks)


def extra_images(n: int) -> NDArray[np.int64]:
    """Count how often each draw sees one image more."""
    return np.random.Generator(np.random.Philox(key=KEY + 1)).binomial(n, 1 / (n + 1), size=DRAWS)
