"""The best of several equally good models on one test set: how much better it looks than it is.

After Mania et al. 2019, Model similarity mitigates test set overuse: models that err alike use a test set up slowly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KEY = 0x6265_7374
_DRAWS = 2000


@dataclass(frozen=True)
class Best:
    """Optimism of the best of several models, and the chance that one at its threshold passes."""

    mean: float
    most: float  # in 95 % of test sets at most
    luck: float  # chance that at least one of them passes


def resampled(right: NDArray[np.bool_], codes: NDArray[np.integer] | None, confidence: float = 0.95) -> Best:
    """Resample images, or units of images, over the answers of several models, each centred on its own share.

    ``right``: (models, n); ``codes``: (n,) the unit of each image.
    """
    from scipy.special import ndtri

    shares = _redrawn(right, codes)
    own = right.mean(1)
    deviations = shares.std(0)
    best = (shares - own).max(1)
    passed = (shares - ndtri(confidence) * deviations >= own).any(1)
    return Best(float(best.mean()), float(np.quantile(best, 0.95)), float(passed.mean()))


def deviation(right: NDArray[np.bool_], codes: NDArray[np.integer] | None) -> float:
    """Return the standard deviation of a model's share where images, or units of images, are drawn anew.

    ``right``: (n,); ``codes``: (n,) the unit of each image.
    """
    return float(_redrawn(right[None], codes).std())


def _redrawn(right: NDArray[np.bool_], codes: NDArray[np.integer] | None) -> NDArray[np.float64]:
    """Compute the shares of several models (draws, models) on test sets that are drawn anew."""
    units = np.arange(right.shape[1]) if codes is None else np.unique(codes, return_inverse=True)[1]
    sizes = np.bincount(units).astype(np.float64)
    hits = np.stack([np.bincount(units, weights=one) for one in right.astype(np.float64)])
    rng = np.random.Generator(np.random.Philox(key=KEY))
    weights = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), _DRAWS).astype(np.float64)
    shares: NDArray[np.float64] = (weights @ hits.T) / (weights @ sizes)[:, None]
    return shares


def independent(models: int, deviation: float, confidence: float = 0.95) -> Best:
    """Bound the same for models whose mistakes are independent; ``deviation``: standard deviation of a share."""
    from scipy.special import ndtri

    at = (np.arange(_DRAWS) + 0.5) / _DRAWS  # quantiles of the largest of several normal numbers
    largest = ndtri(at ** (1 / models)) * deviation
    return Best(float(largest.mean()), float(np.quantile(largest, 0.95)), 1 - confidence**models)
