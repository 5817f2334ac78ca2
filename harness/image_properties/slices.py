"""Quintiles of the digits by one property: the thinnest fifth, the most left-slanted fifth, and so on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness.image_properties import PROPERTIES, Properties, Property, Values, measured
from harness.records import Images

QUINTILES = 5
MIN_N = 50  # images; of fewer nothing is said
_MIDDLE = {1: "second", 2: "middle", 3: "fourth"}


@dataclass(frozen=True)
class Slice:
    """A quintile of the images by a property; equal values are never parted, so it may hold more or fewer."""

    of: Property
    fifth: int  # 0 holds the lowest values
    low: float
    high: float  # the values it holds, in the property's unit; not a number where it holds none
    members: NDArray[np.intp]  # indexes

    @property
    def name(self) -> str:
        """Return the slice's name."""
        return name(self.of, self.fifth)


def name(of: Property, fifth: int) -> str:
    """Name a quintile: ``thickness``, 0 -> "thinnest fifth"; 1 -> "second fifth by thickness"."""
    if fifth in _MIDDLE:
        return f"{_MIDDLE[fifth]} fifth by {of.name.replace('_', ' ')}"
    return f"{of.low if fifth == 0 else of.high} fifth"


def slices(images: Images, name: str) -> tuple[Slice, ...]:
    """Cut the images into quintiles of a property, lowest values first. Images without ink are in none."""
    return _slices(measured(images), name)


@lru_cache(maxsize=4 * len(PROPERTIES))
def _slices(measurements: Properties, name: str) -> tuple[Slice, ...]:
    return tuple(_cut(PROPERTIES[name], measurements.values[name]))


def _cut(of: Property, values: Values) -> Iterator[Slice]:
    known = np.isfinite(values)
    shares = np.arange(1, QUINTILES) / QUINTILES
    edges = np.quantile(values[known], shares, method="inverted_cdf") if known.any() else np.zeros(QUINTILES - 1)
    fifth = np.where(known, np.searchsorted(edges, values, side="left"), QUINTILES)
    for number in range(QUINTILES):
        members = np.flatnonzero(fifth == number)
        members_values = values[members] if len(members) else np.array([np.nan])
        yield Slice(of, number, float(members_values.min()), float(members_values.max()), members)
