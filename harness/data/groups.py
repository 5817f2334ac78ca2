"""Sampling units and slices of the test images.

They come from the arrays ``groups_test`` and ``groups_train`` of a ``.npz``, from a table beside the data, or, of
MNIST's own test digits, from the writers that QMNIST published (Yadav & Bottou 2019). Names of units are never kept.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.columns import Texts, read_columns
from harness.data.loaders import named
from harness.errors import UsageError
from harness.formatting import count, one_line
from harness.records import CLASSES, Codes, Column, DataFacts, Dataset, Groups

INDEPENDENT = "none"  # the --unit that states independence
QUINTILES = 5
MAX_VALUES = 50  # different values of a slice
WRITERS = Path(__file__).with_name("mnist_writers.npz")


@dataclass(frozen=True)
class OwnGroups:
    """Units that come with the digits themselves, one name an image."""

    test: NDArray[Any]  # (n,)
    train: NDArray[Any] | None  # (m,)


def grouped(dataset: Dataset, own: OwnGroups | None, table: Path | None, unit: str | None) -> Dataset:
    """Add units and slices to digits; UsageError where they do not fit the images.

    ``table``: a file with a row an image; ``unit``: its column that is drawn at random, or the name of the digits' own
    units, or ``none``.
    """
    columns: Mapping[str, Column] = {}
    codes, name, shared = None, unit or "", 0
    if table is not None:
        texts = read_columns(table, dataset.labels)
        codes = _unit_of(texts, table, unit)
        columns = {one: column for one in texts if one != unit and (column := _slices(texts[one])) is not None}
    elif own is not None:
        codes, shared, name = numbered(own.test.tolist()), _shared(own), unit or "group"
    elif (writers := _of_mnist(dataset.facts.sha256)) is not None:
        columns = writers.columns
        if unit not in (None, INDEPENDENT, writers.unit):
            raise UsageError(
                f"MNIST's test digits are known by writer, not by {one_line(str(unit), 60)}; "
                "give --unit writer or --unit none, or --columns FILE.csv with that column"
            )
        codes, name = writers.codes, writers.unit
    elif unit not in (None, INDEPENDENT):
        shown = one_line(str(unit), 60)
        raise UsageError(
            f"{dataset.name} does not say which {shown} an image is of; give --columns FILE.csv with a column {shown}, "
            "or an array groups_test in the .npz"
        )
    elif unit is None:
        return dataset
    if unit == INDEPENDENT:
        return replace(dataset, groups=Groups("", None, columns))
    assert codes is not None
    groups = Groups(one_line(name, 60), codes, columns)
    return replace(dataset, groups=groups, facts=_facts(dataset, groups, shared))


def _facts(dataset: Dataset, groups: Groups, shared: int) -> DataFacts:
    assert groups.codes is not None
    of_digits = (groups.mean_size(dataset.labels == digit) for digit in range(CLASSES))
    sizes = tuple(round(size, 4) for size in (groups.mean_size(), *of_digits))
    units = int(groups.codes.max()) + 1
    return replace(dataset.facts, unit=groups.unit, units=units, unit_sizes=sizes, shared_units=shared)


def _unit_of(texts: Texts, table: Path, unit: str | None) -> Codes | None:
    """Number the units in a column of the table; None where images are declared independent."""
    if unit is None:
        raise UsageError(
            f"{named(table)} has {count(len(texts), 'column')}, and none is named as what was drawn at random; add "
            f"--unit {next(iter(texts))} (writer, page, patient: the highest such level), or --unit none where "
            "every image was drawn alone"
        )
    if unit == INDEPENDENT:
        return None
    if unit not in texts:
        close = difflib.get_close_matches(unit, texts, 1)
        way = f"did you mean {close[0]!r}?" if close else f"it has {one_line(', '.join(texts), 200)}"
        raise UsageError(f"{named(table)} has no column {one_line(unit, 60)!r}; {way}")
    return numbered(texts[unit])


def numbered(names: Sequence[str | int]) -> Codes:
    """Number names (n,) by first appearance."""
    numbers: dict[str | int, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int32)


def _shared(own: OwnGroups) -> int:
    return 0 if own.train is None else len(np.intersect1d(own.test, own.train))


def _slices(texts: tuple[str, ...]) -> Column | None:
    """Cut the images by the values of a column: as they are, or numbers of many values in fifths; None for a text of
    many values.
    """
    values = sorted(set(texts))
    if len(values) <= MAX_VALUES:
        place = {value: at for at, value in enumerate(values)}
        return Column(tuple(one_line(value, 60) for value in values), np.array([place[one] for one in texts], np.int32))
    try:
        numbers = np.array([float(one) for one in texts])
    except ValueError:
        return None
    if not np.isfinite(numbers).all():
        return None
    edges = np.unique(np.quantile(numbers, np.arange(1, QUINTILES) / QUINTILES, method="inverted_cdf"))
    codes = np.searchsorted(edges, numbers, side="left").astype(np.int32)
    held = [numbers[codes == at] for at in range(len(edges) + 1)]
    kept = [one for one in held if len(one)]
    return Column(tuple(f"{one.min():g} to {one.max():g}" for one in kept), codes)


def has_writers(data: DataFacts) -> bool:
    """Tell whether these are MNIST's own test digits, taken by their writers."""
    known, writers = _writers()
    return (data.sha256, data.unit) == (known, writers.unit)


@cache
def _writers() -> tuple[str, Groups]:
    with np.load(WRITERS, allow_pickle=False) as kept:
        source = Column(("census employees", "pupils"), kept["source"].astype(np.int32))
        return str(kept["data_sha256"]), Groups("writer", kept["writer"].astype(np.int32), {"source": source})


def _of_mnist(sha256: str) -> Groups | None:
    """Return the writers of MNIST's test digits; None for any other digits."""
    data, groups = _writers()
    return groups if sha256 == data else None
