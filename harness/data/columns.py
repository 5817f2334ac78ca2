"""A table with a row an image, in the order of the images: CSV with a header, or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from harness.data.loaders import named, open_regular, why
from harness.errors import UsageError
from harness.formatting import one_line
from harness.records import Labels

Texts: TypeAlias = Mapping[str, tuple[str, ...]]  # the values of each column, one an image

INDEX, LABEL = "index", "label"  # columns that are checked against the images, where they are given
MAX_COLUMNS = 100
_MAX_LENGTH = 200  # characters of a value


def read_columns(path: Path, labels: Labels) -> Texts:
    """Read a table of as many rows as there are images; UsageError where it breaks a rule."""
    rows = _parquet if path.suffix.lower() == ".parquet" else _csv
    try:
        header, *values = rows(path, len(labels) + 2)
    except UsageError:
        raise
    except (ValueError, csv.Error, UnicodeDecodeError) as error:
        raise UsageError(
            f"{named(path)} is no table of columns: {why(error)}; give a CSV file in UTF-8 whose first line names the "
            "columns"
        ) from error
    _check_header(path, header)
    if len(values) != len(labels):
        raise UsageError(
            f"{named(path)} has {'more' if len(values) > len(labels) else f'{len(values):,}'} rows "
            f"{'than' if len(values) > len(labels) else 'for'} {len(labels):,} test images; give one row an image, in "
            "the order of the images"
        )
    for number, row in enumerate(values):
        _check_row(path, header, row, number, int(labels[number]))
    columns = zip(*values, strict=True)
    return {name: tuple(column) for name, column in zip(header, columns, strict=True) if name not in (INDEX, LABEL)}


def _check_header(path: Path, header: Sequence[str]) -> None:
    twice = [name for name in header if list(header).count(name) > 1]
    if twice or not all(name.strip() for name in header):
        which = f"names {one_line(twice[0], 60)!r} twice" if twice else "has a column without a name"
        raise UsageError(f"{named(path)} {which}; each column has a name of its own")
    if len(header) > MAX_COLUMNS:
        raise UsageError(f"{named(path)} has {len(header)} columns; at most {MAX_COLUMNS} are read. Leave some out")
    if not set(header) - {INDEX, LABEL}:
        raise UsageError(f"{named(path)} has no column besides {' and '.join(header)}; add the units, such as writer")


def _check_row(path: Path, header: Sequence[str], row: Sequence[str], number: int, label: int) -> None:
    where = f"{named(path)}, row {number + 1}"
    if len(row) != len(header):
        raise UsageError(f"{where} has {len(row)} values for {len(header)} columns; give one for each")
    for name, value in zip(header, row, strict=True):
        if not value.strip():
            raise UsageError(
                f"{where}: {one_line(name, 60)} is blank; every image needs its own, or leave the image out"
            )
        if len(value) > _MAX_LENGTH:
            raise UsageError(
                f"{where}: {one_line(name, 60)} has {len(value)} characters; at most {_MAX_LENGTH} are read"
            )
        if (name == INDEX and value != str(number)) or (name == LABEL and value != str(label)):
            wanted = number if name == INDEX else label
            raise UsageError(
                f"{where}: {name} is {one_line(value, 60)}, but the image there has {wanted}; rows have the order of "
                "the images, counted from 0"
            )


def _csv(path: Path, most: int) -> Sequence[Sequence[str]]:
    with open_regular(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        return list(islice(csv.reader(text, strict=True), most))


def _parquet(path: Path, most: int) -> Sequence[Sequence[str]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UsageError(
            f"{named(path)} needs the package pyarrow, which is not installed; "
            "python -m pip install 'digit-release-harness[parquet]'"
        ) from error
    with open_regular(path) as file:
        try:
            table = parquet.read_table(file)
        except (ArrowException, OSError) as error:
            raise UsageError(f"{named(path)} is damaged: {why(error)}; get the file again") from error
    rows = zip(*(column.to_pylist() for column in table.slice(0, most).columns), strict=True)
    return [table.column_names, *(["" if value is None else str(value) for value in row] for row in rows)]
