"""Faults after the model: of the probabilities (n, 10) of some images, or of their classes (n,)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.candidate.mutation.registry import mutation, rng_of


@mutation(0.01, 0.02, 0.05, 0.1, 0.2, said="{percent} of the uniform mixed in")
def smoothed(rows: NDArray[Any], strength: float, seed: int) -> NDArray[Any]:
    """Mix the probabilities with the uniform; classes stay."""
    return rows.copy() if rows.ndim == 1 else ((1 - strength) * rows + strength / 10).astype(rows.dtype)


@mutation(0.01, 0.03, 0.1, said="{percent} of answers are of the image before", seeds=(0, 1, 2))
def stale(rows: NDArray[Any], strength: float, seed: int) -> NDArray[Any]:
    """Give a share of the images the answer to the image before."""
    late = rng_of("stale", seed).permutation(np.arange(1, len(rows)))[: round(strength * len(rows))]
    given = rows.copy()
    given[late] = rows[late - 1]
    return given
