"""A table with a row an image, in the order of the images: CSV with a header, or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from harness.data.loaders import named, open_regular, why
from harness.data.parquet import pyarrow_for
from harness.errors import UsageError
from harness.formatting import count, one_line
from harness.records import Labels

Texts: TypeAlias = Mapping[str, tuple[str, ...]]  # the values of each column, one an image

INDEX, LABEL = "index", "label"  # columns that are checked against the images, where they are given
MAX_COLUMNS = 100
_MAX_LENGTH = 200  # characters of a value
_MAX_NAME = 60  # and of a column's name
_ROWS = 1000  # of Parquet, held at a time


def read_columns(path: Path, labels: Labels) -> Texts:
    """Read a table of as many rows as there are images; UsageError where it breaks a rule."""
    with open_regular(path) as file:
        is_parquet = file.read(4) == b"PAR1"
    rows = (_parquet if is_parquet else _csv)(path)
    try:
        if (header := next(rows, None)) is None:
            raise ValueError("it is empty")
        _check_header(path, header)
        values = list(islice(rows, len(labels) + 1))
    except UsageError:
        raise
    except (ValueError, csv.Error, UnicodeDecodeError) as error:
        raise UsageError(
            f"{named(path)} is no table of columns: {why(error)}; give a CSV file in UTF-8 whose first line names the "
            "columns"
        ) from error
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
    if len(header) > MAX_COLUMNS:
        raise UsageError(f"{named(path)} has more than {MAX_COLUMNS} columns; at most these are read. Leave some out")
    if len(header) == 1 and (mark := next((mark for mark in ";\t" if mark in header[0]), None)):
        raise UsageError(f"{named(path)} is separated by {mark!r}; write it with commas")
    twice = [name for name in header if list(header).count(name) > 1]
    if twice or not all(header):
        which = f"names {one_line(twice[0], _MAX_NAME)!r} twice" if twice else "has a column without a name"
        raise UsageError(f"{named(path)} {which}; each column has a name of its own")
    for name in header:
        if name != (shown := one_line(name, _MAX_NAME)):
            raise UsageError(
                f"{named(path)} names a column {shown!r}, which a log cannot show as it is; rename it, in at most "
                f"{_MAX_NAME} printable characters"
            )
    if not set(header) - {INDEX, LABEL}:
        raise UsageError(f"{named(path)} has no column besides {' and '.join(header)}; add the units, such as writer")


def _check_row(path: Path, header: Sequence[str], row: Sequence[str], number: int, label: int) -> None:
    where = f"{named(path)}, row {number + 1}"
    if len(row) != len(header):
        many = f"more than {MAX_COLUMNS}" if len(row) > MAX_COLUMNS else len(row)
        raise UsageError(f"{where} has {many} values for {count(len(header), 'column')}; give one for each")
    for name, value in zip(header, row, strict=True):
        if not value:
            raise UsageError(f"{where}: {name} is blank; every image needs its own, or leave the image out")
        if len(value) > _MAX_LENGTH:
            raise UsageError(
                f"{where}: {name} has more than {_MAX_LENGTH} characters; at most these are read. Shorten it"
            )
        wanted = {INDEX: number, LABEL: label}.get(name)
        if wanted is not None and value.removesuffix(".0") != str(wanted):  # pandas makes 7.0 of 7
            raise UsageError(
                f"{where}: {name} is {one_line(value, 60)}, but the image there has {wanted}; rows have the order of "
                "the images, counted from 0"
            )


def _csv(path: Path) -> Iterator[Sequence[str]]:
    """Read row by row, without blank lines and the spaces around values; of too long a row the beginning."""
    with open_regular(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        for row in csv.reader(text, strict=True):
            if row:
                yield [value.strip() for value in row[: MAX_COLUMNS + 1]]


def _parquet(path: Path) -> Iterator[Sequence[str]]:
    pq = pyarrow_for(path)
    with open_regular(path) as file:
        try:
            table = pq.ParquetFile(file)
            yield [name.strip() for name in table.schema_arrow.names[: MAX_COLUMNS + 1]]
            for batch in table.iter_batches(_ROWS, use_threads=False):
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    yield [_text(value) for value in row]
        except Exception as error:  # pyarrow raises several types on damaged bytes
            raise UsageError(f"{named(path)} is damaged: {why(error)}; get the file again") from error


def _text(value: Any) -> str:
    """Write a value of Parquet; null and NaN are blank."""
    return "" if value is None or value != value else str(value)[: _MAX_LENGTH + 1].strip()
