"""Fuzzing of data files: any bytes give valid digits or one line that refuses them; never another exception."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.sources import load
from harness.errors import UsageError
from tests.support import digit_files
from tests.support.fuzzing import EDITS, NEAR_THE_START, Edit, edited, many

IMAGES = np.random.default_rng(7).integers(0, 256, (20, 28, 28), np.uint8)
LABELS = np.arange(20, dtype=np.uint8) % 10


def npz(write: Any) -> bytes:
    content = io.BytesIO()
    write(content, x_test=IMAGES, y_test=LABELS)
    return content.getvalue()


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def idx(array: Any) -> bytes:
    return b"".join([bytes([0, 0, 8, array.ndim]), np.array(array.shape, ">u4").tobytes(), array.tobytes()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def check(source: Path) -> None:
    try:
        dataset = load(source)
    except UsageError as refused:
        if str(refused).isprintable():
            return
        raise
    assert dataset.images.dtype == np.uint8
    assert dataset.images.shape == (dataset.facts.n, 28, 28)
    assert dataset.labels.shape == (dataset.facts.n,)
    assert set(dataset.labels.tolist()) == set(range(10))


@settings(max_examples=many(300), deadline=None)
@given(edits=EDITS, write=st.sampled_from([np.savez, np.savez_compressed]))
def test_a_damaged_npz_is_refused_or_valid(folder: Path, edits: list[Edit], write: Any) -> None:
    (folder / "digits.npz").write_bytes(edited(npz(write), edits))

    check(folder / "digits.npz")


@settings(max_examples=many(300), deadline=None)
@given(edits=NEAR_THE_START, forged=st.sampled_from(["x_test", "y_test"]))
def test_a_forged_array_in_an_intact_zip_is_refused_or_valid(folder: Path, edits: list[Edit], forged: str) -> None:
    with zipfile.ZipFile(folder / "forged.npz", "w") as archive:
        for key, array in (("x_test", IMAGES), ("y_test", LABELS)):
            archive.writestr(f"{key}.npy", edited(npy(array), edits) if key == forged else npy(array))

    check(folder / "forged.npz")


@settings(max_examples=many(300), deadline=None)
@given(edits=EDITS | NEAR_THE_START, packed=st.booleans(), forged=st.booleans())
def test_a_damaged_idx_file_is_refused_or_valid(folder: Path, edits: list[Edit], packed: bool, forged: bool) -> None:
    images = edited(idx(IMAGES), edits if forged else [])
    content = gzip.compress(images, 1) if packed else images
    (folder / "t10k-images-idx3-ubyte").write_bytes(content if forged else edited(content, edits))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS))

    check(folder)


@settings(max_examples=many(200), deadline=None)
@given(edits=EDITS | NEAR_THE_START, form=st.sampled_from(["csv", "excel", "csv_gz"]))
def test_a_damaged_csv_file_is_refused_or_valid(folder: Path, edits: list[Edit], form: str) -> None:
    path = digit_files.FORMS[form](folder, IMAGES, LABELS)
    path.write_bytes(edited(path.read_bytes(), edits))

    check(path)


@settings(max_examples=many(200), deadline=None)
@given(edits=EDITS | NEAR_THE_START)
def test_a_damaged_picture_is_refused_or_valid(folder: Path, edits: list[Edit]) -> None:
    place = folder / "pictures"
    place.mkdir(exist_ok=True)
    digit_files.pngs(place, IMAGES, LABELS)
    (place / "0" / "0.png").write_bytes(edited(digit_files.png(IMAGES[0]), edits))

    check(place)


@settings(max_examples=many(200), deadline=None)
@given(edits=EDITS | NEAR_THE_START)
def test_a_damaged_parquet_file_is_refused_or_valid(folder: Path, edits: list[Edit]) -> None:
    place = folder / "parquet"
    place.mkdir(exist_ok=True)
    pq.write_table(digit_files.parquet_table(IMAGES, LABELS), place / "test.parquet")
    whole = (place / "test.parquet").read_bytes()
    (place / "test.parquet").write_bytes(edited(whole, edits))

    check(place / "test.parquet")


@settings(max_examples=many(100), deadline=None)
@given(edits=EDITS | NEAR_THE_START)
def test_damaged_facts_of_qmnist_are_refused_or_valid(folder: Path, edits: list[Edit]) -> None:
    place = folder / "qmnist"
    place.mkdir(exist_ok=True)
    digit_files.qmnist(place, IMAGES, LABELS)
    facts = np.zeros((len(LABELS), 8), ">i4")
    facts[:, 0] = LABELS
    (place / "qmnist-test-labels-idx2-int.gz").write_bytes(edited(digit_files.idx_bytes(facts), edits))

    check(place)
