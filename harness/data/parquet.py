"""Digits from Parquet files as Hugging Face publishes MNIST: a column of PNG images and one of labels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.loaders import MAX_BYTES, named, open_regular, why
from harness.data.pictures import MAX_FILE_BYTES, picture
from harness.data.validation import Pair
from harness.errors import UsageError
from harness.formatting import one_line
from harness.records import SIDE

_COLUMNS = ("image", "label")
_ROWS = 1000  # held at a time


def read_parquet(paths: Sequence[Path]) -> Pair:
    """Read the images and labels of all files, in order. UsageError where one is damaged or holds something else."""
    pq = pyarrow_for(paths[0])
    parts = [_part(pq, path) for path in paths]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Pair(images, labels, (f"{named(paths[0])}: image", f"{named(paths[0])}: label"))


def pyarrow_for(path: Path) -> Any:
    """Import pyarrow's module for Parquet. UsageError where it is not installed, which names the file that needs it."""
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError(
            f"{named(path)} needs the package pyarrow, which is not installed; "
            "python -m pip install 'digit-release-harness[parquet]'"
        ) from error
    return pq


def _part(pq: Any, path: Path) -> tuple[Any, Any]:
    name = named(path)
    with open_regular(path) as file:
        try:
            return _read(pq.ParquetFile(file), name)
        except UsageError:
            raise
        except Exception as error:  # pyarrow raises several types on damaged bytes
            raise UsageError(f"{name} is damaged: {why(error)}; get the file again") from error


def _read(table: Any, name: str) -> tuple[Any, Any]:
    _check_form(table, name)
    images = np.empty((table.metadata.num_rows, SIDE, SIDE), np.uint8)
    labels = np.empty(len(images), np.int64)
    row = 0
    for batch in table.iter_batches(_ROWS, columns=list(_COLUMNS), use_threads=False):
        labels[row : row + len(batch)] = batch.column("label").to_numpy(zero_copy_only=False)
        for content in batch.column("image").field("bytes"):
            packed = content.as_py()
            if packed is None or len(packed) > MAX_FILE_BYTES:
                held = "no image" if packed is None else f"an image of {len(packed):,} bytes"
                raise UsageError(f"{name}, row {row} holds {held}; a digit has a few KiB")
            images[row] = picture(io.BytesIO(packed), f"{name}, row {row}")
            row += 1
    if row != len(images):
        raise UsageError(f"{name} declares {len(images):,} rows but holds {row:,}; the file is damaged, get it again")
    return images, labels


def _check_form(table: Any, name: str) -> None:
    """Refuse other columns, and more than is read, by what the end of the file declares."""
    import pyarrow as pa

    schema, facts = table.schema_arrow, table.metadata
    types = {field.name: field.type for field in schema}
    image, label = (types.get(column) for column in _COLUMNS)
    parts = {part.name: part.type for part in image.fields} if image is not None and pa.types.is_struct(image) else {}
    if "bytes" not in parts or not pa.types.is_binary(parts["bytes"]):
        held = one_line(", ".join(f"{column} ({kind})" for column, kind in list(types.items())[:8]), 160)
        raise UsageError(f"{name} has the columns {held}; image (with the bytes of a PNG) and label are needed")
    if label is None or not pa.types.is_integer(label):
        raise UsageError(f"{name} has labels of type {one_line(str(label), 60)}; labels are integers 0..9")
    groups = [facts.row_group(at) for at in range(facts.num_row_groups)]
    size = sum(group.column(at).total_uncompressed_size for group in groups for at in range(group.num_columns))
    if max(size, facts.num_rows * SIDE * SIDE) > MAX_BYTES:
        raise UsageError(
            f"{name} declares {facts.num_rows:,} rows of {size:,} bytes in all; {MAX_BYTES:,} are read at most. "
            "Give fewer images"
        )
