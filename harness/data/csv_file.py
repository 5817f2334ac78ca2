"""Digits from a CSV file: a label and 784 pixels a line, with or without a header; gzipped or not."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from harness.data.loaders import MAX_BYTES, named, open_regular, why
from harness.data.validation import Pair
from harness.errors import UsageError
from harness.formatting import count, one_line
from harness.records import CLASSES, SIDE

_PIXELS = SIDE * SIDE
_COLUMNS = _PIXELS + 1
_BLOCK = 1 << 20  # bytes; also the longest line
_LABELS = ("label", "class", "digit", "y")  # names of the column in a header
_GZIP = b"\x1f\x8b"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_csv(path: Path) -> Pair:
    """Read images and labels; nothing larger than a block and the digits themselves is held. UsageError."""
    name = named(path)
    with open_regular(path) as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        try:
            table, label = _table(cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file, name)
        except UsageError:
            raise
        except Exception as error:  # gzip and zlib raise several types on damaged bytes
            raise UsageError(f"{name} is damaged: {why(error)}; get the file again") from error
    images = np.delete(table, label, axis=1).reshape(-1, SIDE, SIDE)
    return Pair(images, table[:, label], (f"{name}: pixels", f"{name}: labels"))


def _table(file: IO[bytes], name: str) -> tuple[NDArray[np.uint8], int]:
    blocks, label, lines, rows = [], 0, 1, 0
    for at, block in enumerate(_blocks(file, name)):
        if at == 0:
            _check_commas(block.partition(b"\n")[0], name)
        if at == 0 and (label_at := _header(block, name)) is not None:
            label, lines, block = label_at, 2, block.partition(b"\n")[2]
        blocks.append(_numbers(block, name, lines))
        rows, lines = rows + len(blocks[-1]), lines + len(blocks[-1])
        if rows * _COLUMNS > MAX_BYTES:
            raise UsageError(f"{name} has over {rows:,} images; 2 GiB of pixels are read at most. Give fewer images")
    table = np.concatenate(blocks or [np.empty((0, _COLUMNS), np.uint8)])
    if lines == rows + 1 and rows and not table[:, 0].any() and 0 < table[:, -1].max() < CLASSES:
        raise UsageError(
            f"{name} has no header and its first column is 0 throughout, its last of digits; the label comes first, or"
            f" a header says where it is ({_LABELS[0]})"
        )
    return table, label


def _blocks(file: IO[bytes], name: str) -> Iterator[bytes]:
    """Yield whole lines, about a block at a time, each ended by a line feed alone; no mark at the beginning."""
    rest = file.read(4)
    if rest.startswith(_UTF_16):
        raise UsageError(f"{name} is UTF-16 text; save it as UTF-8 (Excel: CSV UTF-8)")
    rest = rest.removeprefix(codecs.BOM_UTF8)
    while read := file.read(_BLOCK):
        whole, newline, rest = (rest + read).rpartition(b"\n")
        if len(rest) > _BLOCK:
            raise UsageError(f"{name} has a line of over {_BLOCK:,} bytes; a label and {_PIXELS} pixels make a line")
        if newline:
            yield (whole + newline).replace(b"\r\n", b"\n")
    if rest.strip():
        yield rest.rstrip(b"\r") + b"\n"


def _check_commas(line: bytes, name: str) -> None:
    for mark, word in ((b";", "semicolons"), (b"\t", "tabs")):
        if mark in line and b"," not in line:
            raise UsageError(
                f"{name} parts its columns by {word}; write it with commas: tr {mark.decode()!r} ',' < old > new.csv"
            )


def _header(block: bytes, name: str) -> int | None:
    """Return the place of the label among the columns that the first line names; None where it holds numbers."""
    line = block.partition(b"\n")[0]
    if not any(chr(letter).isalpha() for letter in line):
        return None
    columns = [column.strip().strip('"').lower() for column in line.decode("utf-8", "replace").split(",")]
    labels = [at for at, column in enumerate(columns) if column in _LABELS]
    if len(columns) == _PIXELS and not labels:
        raise UsageError(f"{name} has no labels (nor has Kaggle's test.csv); give a file with them, as its train.csv")
    if len(columns) != _COLUMNS or len(labels) != 1:
        raise UsageError(
            f"{name} has {len(columns):,} columns, {len(labels)} of them called {' or '.join(_LABELS)}; "
            f"one label and {_PIXELS} pixels are needed (pandas: to_csv(index=False))"
        )
    return labels[0]


def _numbers(text: bytes, name: str, line: int) -> NDArray[np.uint8]:
    """Parse lines of 785 numbers 0..255; ``line`` is the number of the first."""
    letters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero((letters == ord(",")) | (letters == ord("\n")))
    newlines = np.flatnonzero(letters[ends] == ord("\n"))
    widths = np.diff(newlines, prepend=-1)
    if (wrong := np.flatnonzero(widths != _COLUMNS)).size:
        at, width = line + int(wrong[0]), int(widths[wrong[0]])
        raise UsageError(
            f"{name}, line {at} has {count(width, 'number')}; a label and {_PIXELS} pixels make {_COLUMNS}"
        )
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts
    values = np.zeros(len(ends), np.uint16)
    good = (lengths >= 1) & (lengths <= 3)
    for place in range(3):
        there = lengths > place
        digit = letters[np.where(there, ends - 1 - place, 0)] - ord("0")  # of any other letter over 9
        good &= ~there | (digit <= 9)
        values += np.where(there, digit, 0).astype(np.uint16) * np.uint16(10**place)
    if (wrong := np.flatnonzero(~good | (values > 255))).size:
        first = int(wrong[0])
        held = one_line(text[starts[first] : ends[first]].decode("utf-8", "replace"), 40)
        raise UsageError(
            f"{name}, line {line + first // _COLUMNS} holds {held!r}; labels are 0..9 and pixels whole numbers 0..255, "
            "parted by commas"
        )
    return values.astype(np.uint8).reshape(-1, _COLUMNS)
