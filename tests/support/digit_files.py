"""The same digits in every form that is read."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from harness.data import embedded

Write: TypeAlias = Callable[[Path, Any, Any], Path]

HEADER = "label," + ",".join(f"pixel{number}" for number in range(784))


def digits(many: int = 60) -> tuple[Any, Any]:
    """Digits of which an EMNIST's lying across can be told: real ones."""
    (test, _) = embedded.read_embedded()
    return test.images[:many].copy(), test.labels[:many].copy()


def idx_bytes(array: Any) -> bytes:
    kind = {1: 8, 4: 12}[array.dtype.itemsize]
    return b"".join([bytes([0, 0, kind, array.ndim]), np.array(array.shape, ">u4").tobytes(), array.tobytes()])


def npz(folder: Path, images: Any, labels: Any) -> Path:
    np.savez_compressed(folder / "digits.npz", x_test=images, y_test=labels)
    return folder / "digits.npz"


def mnist(folder: Path, images: Any, labels: Any) -> Path:
    return _idx(folder, "t10k", images, labels)


def emnist(folder: Path, images: Any, labels: Any) -> Path:
    return _idx(folder, "emnist-digits-test", np.ascontiguousarray(images.transpose(0, 2, 1)), labels)


def qmnist(folder: Path, images: Any, labels: Any) -> Path:
    facts = np.zeros((len(labels), 8), ">i4")
    facts[:, 0], facts[:, 1], facts[:, 2] = labels, 4, 2426
    _idx(folder, "qmnist-test", images, labels)
    (folder / "qmnist-test-labels-idx1-ubyte.gz").unlink()
    (folder / "qmnist-test-labels-idx2-int.gz").write_bytes(gzip.compress(idx_bytes(facts)))
    return folder


def _idx(folder: Path, stem: str, images: Any, labels: Any) -> Path:
    (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
    (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    return folder


def png(image: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def pngs(folder: Path, images: Any, labels: Any) -> Path:
    """Write PNG files as mnist_png has them: the name is the place in the whole set, without zeros before it."""
    for at, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        (folder / str(label) / f"{at}.png").write_bytes(png(image))
    return folder


def csv_bytes(images: Any, labels: Any, header: str = "", newline: str = "\n") -> bytes:
    rows = np.column_stack([labels, images.reshape(len(images), -1)])
    lines = [",".join(map(str, row)) for row in rows.tolist()]
    return newline.join([*([header] if header else []), *lines, ""]).encode()


def csv(folder: Path, images: Any, labels: Any) -> Path:
    (folder / "mnist_test.csv").write_bytes(csv_bytes(images, labels))
    return folder / "mnist_test.csv"


def excel(folder: Path, images: Any, labels: Any) -> Path:
    """With a header, a mark at the beginning and the line ends of Windows."""
    (folder / "train.csv").write_bytes(b"\xef\xbb\xbf" + csv_bytes(images, labels, HEADER, "\r\n"))
    return folder / "train.csv"


def csv_gz(folder: Path, images: Any, labels: Any) -> Path:
    (folder / "digits.csv.gz").write_bytes(gzip.compress(csv_bytes(images, labels)))
    return folder / "digits.csv.gz"


def parquet_table(images: Any, labels: Any, **columns: Any) -> Any:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": png(image), "path": None} for image in images]
    return pa.table({"image": pa.array(cells, kind), "label": pa.array(labels.astype("i8"))} | columns)


def parquet(folder: Path, images: Any, labels: Any) -> Path:
    """In two files, as large sets are."""
    for part, half in enumerate((slice(0, 40), slice(40, None))):
        table = parquet_table(images[half], labels[half])
        pq.write_table(table, folder / f"test-{part:05}-of-00002.parquet", row_group_size=16)
    return folder


FORMS: dict[str, Write] = {
    write.__name__: write for write in (npz, mnist, emnist, qmnist, pngs, csv, excel, csv_gz, parquet)
}
