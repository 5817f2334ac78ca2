"""Formats told by the first bytes of a file, with the way out."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path

import pytest

from harness.candidate.scan import formats
from harness.candidate.scan.budget import Rejected

BYTES = {
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n": "Git LFS pointer.*git lfs pull",
    b"outs:\n- md5: 0123\n  path: model.h5\n": "dvc pull",
    b"\n<!DOCTYPE html>\n<html><head>": "web page.*download the file itself",
    pickle.dumps({"state_dict": 1}, 2): "a pickle .PyTorch.*not opened",
    b"\x10\0\0\0\0\0\0\0" + b'{"layer.weight":{}}': "safetensors",
    b'{"class_name": "Sequential", "config": {}}': "in JSON, without weights.*model_from_json",
    b"\x1f\x8b\x08\0": "packed by gzip",
    bytes(257) + b"ustar\x0000": "a tar archive",
    b"\x93NUMPY\x01\0": "an array of NumPy",
    b"\x08\x01\x12\x10": "saved_model.pb; give the folder",
    b"\x08\x07\x12\x07pytorch\x1a\x052.1.0": "ONNX; build the same layers in Keras",
    b"\n\x17\n\x05input\x12\x0bPlaceholder*\x00": "frozen graph of TensorFlow 1; build the same layers",
    b'{"format": "layers-model", "modelTopology": {"class_name": "Sequential"}}': "TensorFlow.js; give the Keras model",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>': "a text, not a model; download the file itself",
    b'{"error": "Repository not found"}': "a text, not a model",
    "wörter, keine Zahlen\n".encode(): "a text, not a model",
}
MEMBERS = {
    ("archive/data.pkl", "archive/data/0"): "a zip of PyTorch",
    ("x_test.npy", "y_test.npy"): "arrays of NumPy",
    ("__MACOSX/._digits.h5", "digits.h5"): "unpack it and give digits.h5",
    ("saved/saved_model.pb", "saved/variables/variables.index"): "unpack it and give saved$",
    ("word/document.xml",): r"a zip of something else \(word/document.xml\)",
}


@pytest.mark.parametrize(("content", "said"), BYTES.items())
@pytest.mark.parametrize("name", ["model.h5", "model.keras", "model"])
def test_a_file_of_something_else_is_named_with_a_way_out(content: bytes, said: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(Rejected, match=said):
        formats.kind_of(tmp_path / name)


@pytest.mark.parametrize(("members", "said"), MEMBERS.items())
def test_a_zip_of_something_else_is_named_by_its_members(members: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for member in members:
            archive.writestr(member, b"x")

    with pytest.raises(Rejected, match=said):
        formats.kind_of(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (formats.HDF5, "h5"),
        (b"\x1c\0\0\0TFL3", "tflite"),
        (b"PK\x03\x04", "keras"),
        (b"x", None),
        (b"text\0" * 9, None),
    ],
)
def test_a_model_is_recognised_under_any_name(content: bytes, kind: str | None, tmp_path: Path) -> None:
    (tmp_path / "anything").write_bytes(content)

    assert formats.kind_of(tmp_path / "anything") == kind


FOLDERS = {
    ("model.json", "group1-shard1of1.bin"): "is a model of TensorFlow.js; give the Keras model that it was converted",
    (
        "checkpoint",
        "model.ckpt.index",
        "model.ckpt.data-00000-of-00001",
    ): r"model.load_weights\('model.ckpt'\); model.s",
}


@pytest.mark.parametrize(("names", "said"), FOLDERS.items())
def test_a_folder_of_another_format_is_named_with_a_way_out(names: tuple[str, ...], said: str) -> None:
    assert re.search(said, formats.in_folder(names) or "")
