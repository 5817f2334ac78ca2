"""Scan of HDF5 files before they are read: links, storage, kinds of number, bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from harness.candidate.scan import budget, hdf5
from harness.candidate.scan.budget import Rejected
from tests.security.test_scan import GOOD

Change = Callable[[Any], object]


def written(change: Change) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_group("layers/dense/vars").attrs["name"] = "dense"
        file["layers/dense/vars/0"] = np.ones((784, 10), np.float32)
        file["layers/dense/vars/1"] = np.ones(10, "V2")
        change(file)
    return content.getvalue()


def refusal(content: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        hdf5.weights(content)
    assert str(caught.value).isprintable()
    return str(caught.value)


def nothing(file: Any) -> None:
    pass


def soft(file: Any) -> None:
    file["layers/soft"] = h5py.SoftLink("/layers/dense")


def external(file: Any) -> None:
    file["layers/external"] = h5py.ExternalLink("/etc/passwd", "/")


def within_itself(file: Any) -> None:
    file["layers/dense/again"] = file["layers"]


def twice(file: Any) -> None:
    file["layers/again"] = file["layers/dense/vars/0"]


def elsewhere(file: Any) -> None:
    file.create_dataset("layers/w", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "w", (4,))
    file.create_virtual_dataset("layers/w", layout)


def texts(file: Any) -> None:
    file["layers/w"] = ["a", "text"]


def records(file: Any) -> None:
    file["layers/w"] = np.zeros(3, [("a", "f4"), ("b", "f4")])


def references(file: Any) -> None:
    file["layers/w"] = np.array([file["layers"].ref], h5py.ref_dtype)


def a_type(file: Any) -> None:
    file["layers/w"] = np.dtype("f4")


def odd_filter(file: Any) -> None:
    file.create_dataset("layers/w", (400,), "f4", chunks=(100,), compression="lzf")


def a_reference_beside(file: Any) -> None:
    file["layers"].attrs["other"] = file["layers"].ref


def deep(file: Any) -> None:
    file.create_group("/".join("x" * (budget.MAX_DEPTH + 5)))


def never_written(file: Any) -> None:
    """2.9 GiB in a file of a few KB."""
    file.create_dataset("layers/w", (780_000_000,), "f4", chunks=(1_000_000,), compression="gzip")


def many_names(file: Any) -> None:
    names = file["layers"]
    for number in range(budget.MAX_OBJECTS + 1):
        names.create_group(f"g{number}")


REFUSED: dict[Change, str] = {
    soft: "a link to something else",
    external: "a link to something else",
    within_itself: "twice",
    twice: "twice",
    elsewhere: "in another file",
    virtual: "in another file",
    texts: "weights are numbers",
    records: "weights are numbers",
    references: "weights are numbers",
    a_type: "neither group nor dataset",
    odd_filter: "unusual way",
    a_reference_beside: "neither text nor number",
    deep: "nested too deeply",
    never_written: "are the limit",
    many_names: "more than 20000 objects",
}


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_weights_that_are_not_plain_numbers_of_this_file_are_refused(change: Change) -> None:
    assert REFUSED[change] in refusal(written(change))


def test_plain_weights_pass() -> None:
    hdf5.weights(written(nothing))


def gzipped(size: int, filled: bool) -> Change:
    def change(file: Any) -> None:
        found = file.create_dataset("layers/w", (size,), "f4", chunks=(min(size, 1 << 20),), compression="gzip")
        if filled:
            found[:] = np.random.default_rng(1).random(size)

    return change


def test_what_unpacks_to_very_much_is_refused_above_a_mebibyte() -> None:
    """Declared and never written: as little as can be stored."""
    hdf5.weights(written(gzipped(budget.SMALL_BYTES // 4, filled=False)))
    hdf5.weights(written(gzipped(budget.SMALL_BYTES // 4 + 1, filled=True)))

    assert "and holds 0 of them" in refusal(written(gzipped(budget.SMALL_BYTES // 4 + 1, filled=False)))


def test_many_small_weights_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_WEIGHTS_BYTES", 31_400)

    hdf5.weights(written(nothing))
    with pytest.raises(Rejected, match="31,460 bytes of weights"):
        hdf5.weights(written(lambda file: file.__setitem__("layers/more", np.ones(20, np.float32))))


def test_weights_cut_anywhere_are_refused() -> None:
    whole = written(nothing)
    for end in range(0, len(whole) - 1, 997):
        refusal(whole[:end])


def model(path: Path, **attributes: Any) -> Path:
    with h5py.File(path, "w") as file:
        file.create_group("model_weights")
        for name, value in attributes.items():
            file.attrs[name] = value
    return path


def test_a_good_h5_file_passes(tmp_path: Path) -> None:
    hdf5.model(model(tmp_path / "m.h5", model_config=json.dumps(GOOD), training_config='{"loss": "mine"}'))


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "weights only"),
        ({"model_config": 3}, "is no text"),
        ({"model_config": ["a", "b"]}, "is no text"),
        ({"model_config": "{"}, "no valid JSON"),
        ({"model_config": "null"}, "no object"),
        ({"model_config": '{"class_name": "Dense", "config": {}}'}, "it holds a Dense, not a model"),
        (
            {"model_config": json.dumps(GOOD), "training_config": '{"loss": {"class_name": "__lambda__"}}'},
            "Python code",
        ),
    ],
)
def test_an_h5_file_without_an_allowed_model_is_refused(attributes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=said):
        hdf5.model(model(tmp_path / "m.h5", **attributes))


@pytest.mark.parametrize(("content", "said"), [(b"", "it is empty"), (b"PK\x03\x04", "no whole HDF5 file")])
def test_what_is_no_hdf5_file_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(content)

    with pytest.raises(Rejected, match=said):
        hdf5.model(tmp_path / "m.h5")
