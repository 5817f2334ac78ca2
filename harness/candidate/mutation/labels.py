"""Faults of the labels of the test set; a gate that does not notice them measures them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.candidate.mutation.registry import mutation, rng_of


@mutation(0.002, 0.005, 0.01, 0.02, 0.05, said="{percent} of labels wrong", seeds=(0, 1, 2))
def labels_wrong(labels: NDArray[Any], strength: float, seed: int) -> NDArray[Any]:
    """Turn a share of the labels into another digit."""
    rng = rng_of("labels_wrong", seed)
    order, steps = rng.permutation(len(labels)), rng.integers(1, 10, len(labels))
    chosen, turned = order[: round(strength * len(labels))], labels.copy()
    turned[chosen] = (labels[chosen] + steps[chosen]) % 10
    return turned


@mutation(0.01, 0.03, 0.1, 0.3, said="{percent} of 4s labelled 9", seeds=(0, 1, 2))
def labels_4_as_9(labels: NDArray[Any], strength: float, seed: int) -> NDArray[Any]:
    """Label a share of the 4s as 9."""
    fours = rng_of("labels_4_as_9", seed).permutation(np.flatnonzero(labels == 4))
    turned = labels.copy()
    turned[fours[: round(strength * len(fours))]] = 9
    return turned
