"""The design effect of a number whose images come in units: writers, pages, patients.

The n images of G units tell as much as n / D independent ones. D follows from how the number's own errors fall
together by unit; one standard error of D is added, because D and the number are estimated from the same few mistakes
and D comes out too small just where the number comes out too good (Franco et al. 2019). After Kish 1965, and Korn &
Graubard 1998, who add nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.records import Codes

FEWEST = 20  # effective units under which nothing can be said of units not seen
ENOUGH = 58  # effective units up to which a kind of unit that one in 20 is of may be missing: .95 ** 59 = .05

NO_MISTAKE = 3.0  # largest design effect of a number without any mistake; one mistake comes to 2.98
_NOTHING = 1e-12  # an influence that is rounding
_LEAST_P = 1e-300
_LEAST_LEVEL = 1e-90  # SciPy has no quantile of the beta distribution from about 1e-97 down
_NO_FREEDOM = 0.1  # degrees of freedom under which Student's t has no usable quantile


@dataclass(frozen=True)
class Effect:
    """Design effect of images in units: by how much they tell less than as many independent ones."""

    design: float  # D, at least 1
    units: int  # G, that have any of the images
    effective: float  # units of equal size that tell as much (Kish)
    n: int  # images

    @property
    def images(self) -> float:
        """Return the number of independent images that tell as much, n / D."""
        return self.n / self.design

    @property
    def width(self) -> float:
        """Return the factor by which an interval is wider than one of independent images."""
        return math.sqrt(self.design)

    def level(self, alpha: float) -> float:
        """Lower a one-sided error level: Student's t of the effective units in place of that of the images.

        0, at which a bound excludes nothing, where it would be less than can be computed with.
        """
        from scipy.special import stdtr, stdtrit

        freedom = self.effective - 1
        level = float(stdtr(self.n - 1, stdtrit(freedom, alpha))) if freedom >= _NO_FREEDOM else 0.0
        return level if level > _LEAST_LEVEL else 0.0

    def raised(self, p: Any) -> Any:
        """Raise a p-value as ``level`` lowers a level, so that the two stay each other's inverse."""
        from scipy.special import stdtr, stdtrit

        inside = np.clip(p, _LEAST_P, 1 - np.finfo(float).epsneg)  # scipy's quantile of 0 is that of 1
        return np.where(p == inside, stdtr(max(self.effective - 1, _NO_FREEDOM), stdtrit(self.n - 1, inside)), p)


def effect(influence: NDArray[np.float64], codes: Codes | None) -> Effect | None:
    """Compute the design effect from each image's influence (n,) on a number; None for independent images.

    ``influence``: by how much the number is moved by the image, up to a factor, with mean 0.
    """
    if codes is None or not len(codes):
        return None
    sizes = np.bincount(codes)
    if sizes.max() == 1:
        return None
    present, n = sizes > 0, len(codes)
    each = sizes[present].astype(np.float64)
    mean_size, units = float((each**2).sum() / n), len(each)
    sums = np.bincount(codes, influence)[present]
    squares = np.bincount(codes, influence**2)[present]
    most, total = float(abs(influence).max()), float(squares.sum())
    if most < _NOTHING or units == 1:
        return Effect(min(NO_MISTAKE, mean_size) if units > 1 else float(n), units, n / mean_size, n)
    jackknife = (n - 1) / n * (units - 1) / units * float(((sums / (1 - each / n)) ** 2).sum()) / total
    first = max(1.0, jackknife)
    error = math.sqrt(float(((sums**2 - squares) ** 2).sum()) + (2 * most**2) ** 2) / total
    return Effect(min(first + error, max(mean_size, first)), units, n / mean_size, n)


def of_share(successes: NDArray[np.bool_], codes: Codes | None) -> Effect | None:
    """Compute the design effect of a share of images (n,)."""
    return None if codes is None or not len(codes) else effect(successes - successes.mean(), codes)
