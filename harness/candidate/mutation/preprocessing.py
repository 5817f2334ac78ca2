"""Faults of the candidate's preprocessing, judged by the property checks. Each gets the good function and what it is
called with; ``of`` names the function that it replaces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.candidate.mutation.registry import mutation

Function: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]


@mutation(1.0, said="divided by 256")
def normalize_by_256(good: Function, given: NDArray[Any]) -> NDArray[Any]:
    """Scale so that white is a little less than it should be."""
    return (good(given) * np.float32(255 / 256)).astype(np.float32)


@mutation(1.0, said="divided by 255 twice")
def normalize_twice(good: Function, given: NDArray[Any]) -> NDArray[Any]:
    """Divide once more."""
    return good(given) / np.float32(255)


@mutation(1.0, said="not divided at all")
def normalize_not(good: Function, given: NDArray[Any]) -> NDArray[Any]:
    """Leave the grey levels as they are."""
    return given.astype(np.float32)


@mutation(1.0, said="divided by 127.5, minus 1")
def normalize_symmetric(good: Function, given: NDArray[Any]) -> NDArray[Any]:
    """Map what should be 0 to 1 to -1 to 1."""
    return good(given) * np.float32(2) - np.float32(1)


@mutation(1.0, said="float64")
def normalize_float64(good: Function, given: NDArray[Any]) -> NDArray[Any]:
    """Return another type."""
    return good(given).astype(np.float64)


@mutation(1.0, said="the images changed in place")
def normalize_in_place(good: Function, given: NDArray[Any]) -> NDArray[Any]:
    """Change the images that were handed over."""
    made = good(given)
    given //= 2
    return made


@mutation(1.0, said="one-hot with 9 columns")
def one_hot_of_nine(good: Function, given: NDArray[Any]) -> NDArray[Any]:
    """Lose a column."""
    return good(given)[..., :9]


@mutation(1.0, said="one-hot as integers")
def one_hot_of_integers(good: Function, given: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers."""
    return good(given).astype(np.int64)


@mutation(1.0, said="one-hot off by one")
def one_hot_off_by_one(good: Function, given: NDArray[Any]) -> NDArray[Any]:
    """Mark the next digit."""
    return np.roll(good(given), 1, axis=-1)


@mutation(1.0, said="one-hot without its last class")
def one_hot_without_nine(good: Function, given: NDArray[Any]) -> NDArray[Any]:
    """Leave the rows of 9 empty."""
    made = good(given).copy()
    made[..., 9] = 0
    return made


@mutation(1.0, said="one-hot transposed")
def one_hot_transposed(good: Function, given: NDArray[Any]) -> NDArray[Any]:
    """Exchange rows and columns."""
    return np.ascontiguousarray(good(given).T)
