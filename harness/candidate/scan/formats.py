"""File formats, told by the first bytes and the names inside; nothing is opened but as bytes or zip."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.candidate.scan import archive
from harness.candidate.scan.budget import Rejected
from harness.formatting import one_line

HEAD_BYTES = 4096
HDF5, ZIP, TFLITE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"TFL3"
_COPIED = "build the same layers in Keras, copy the weights into them, and model.save('model.keras')"
_ORIGINAL = "give the Keras model that it was converted from"
_JSON = (
    "with its weights: model = keras.models.model_from_json(open('it.json').read()); model.load_weights('weights.h5');"
    " model.save('model.keras')"
)


@dataclass(frozen=True)
class Foreign:
    """A kind of file that is no model or cannot be judged: how it begins, what it is, and the way out."""

    begins: Callable[[bytes], object]
    what: str
    way_out: str


def _starts(*signatures: bytes) -> Callable[[bytes], object]:
    return lambda head: head.startswith(signatures)


def _matches(pattern: bytes) -> Callable[[bytes], object]:
    return re.compile(pattern, re.DOTALL | re.IGNORECASE).match


FOREIGN = (
    Foreign(_starts(b"version https://git-lfs"), "a Git LFS pointer, not the model", "fetch the model: git lfs pull"),
    Foreign(_matches(rb"\s*outs:\s+- (md5|hash)"), "a pointer of DVC, not the model", "fetch the model: dvc pull"),
    Foreign(
        _matches(rb"\s*(<!--.*?-->\s*)?<(!doctype\s+html|html|head)"),
        "a web page, not a model",
        "download the file itself (its raw or resolve address)",
    ),
    Foreign(
        _matches(rb"\x80[\x02-\x05][^\0]|\x80\x02\x8a\x0a"),
        "a pickle (PyTorch, scikit-learn), which is not opened, since that runs code in it",
        _COPIED,
    ),
    Foreign(_matches(rb'.{7}\0\{"'), "safetensors: weights only, and no model", _COPIED),
    Foreign(_matches(rb'\s*\{\s*"(format|modelTopology)"'), "a model of TensorFlow.js", _ORIGINAL),
    Foreign(_matches(rb'\s*\{.*"class_name"'), "a model's configuration in JSON, without weights", _JSON),
    Foreign(_starts(b"\x1f\x8b"), "packed by gzip", "unpack it (gunzip, or tar -xzf) and give the model in it"),
    Foreign(_matches(rb".{257}ustar"), "a tar archive", "unpack it (tar -xf) and give the model in it"),
    Foreign(_starts(b"\x93NUMPY"), "an array of NumPy, not a model", _COPIED),
    Foreign(_matches(rb"\x08\x01\x12"), "a SavedModel's saved_model.pb", "give the folder it lies in"),
    Foreign(_matches(rb"\x08[\x03-\x14]\x12"), "a model in ONNX", _COPIED),
    Foreign(_matches(rb"\n.{1,3}\n.[\w./]+\x12.[A-Z]\w+"), "a frozen graph of TensorFlow 1", _COPIED),
    Foreign(
        re.compile(rb"(?:[\t\r\n\x20-\x7e]|[\xc3-\xef][\x80-\xbf]{1,2}){9,}[\x80-\xef]{0,2}").fullmatch,
        "a text, not a model",
        "download the file itself (its raw or resolve address), or give what model.save('model.keras') wrote",
    ),
)


def kind_of(path: Path) -> str | None:
    """Return keras, h5 or tflite, by content; None where nothing is recognised. Rejected where it is something else."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(HDF5):
        return "h5"
    if head[4:8] == TFLITE:
        return "tflite"
    if head.startswith(ZIP):
        _named(archive.names(path))
        return "keras"
    for foreign in FOREIGN:
        if foreign.begins(head):
            raise Rejected(f"it is {foreign.what}; {foreign.way_out}")
    return None


def _named(names: Sequence[str]) -> None:
    """Raise Rejected where the members of a zip archive are those of something else than a .keras file."""
    if not names or set(names) & set(archive.LIMITS):
        return
    if any(name.endswith("/data.pkl") for name in names):
        raise Rejected(f"it is a zip of PyTorch, which is not opened, since that runs code in it; {_COPIED}")
    if all(name.endswith(".npy") for name in names):
        raise Rejected("it holds arrays of NumPy (.npz), not a model; give digits by --data")
    inner = next((name for name in names if _is_model(name)), None)
    if inner is not None:
        raise Rejected(f"it is a zip with a model in it; unpack it and give {one_line(model_path(inner), 100)}")
    raise Rejected(f"it is a zip of something else ({one_line(names[0], 60)}); {archive.AGAIN}")


def _is_model(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" not in parts and (
        name.endswith((".keras", ".h5", ".hdf5", ".tflite")) or parts[-1] in ("saved_model.pb", archive.CONFIG)
    )


def model_path(name: str) -> str:
    """Return what to give for a member: the folder of a file that is part of a model, else the file."""
    folder, _, last = name.rpartition("/")
    return folder or "the folder" if last in ("saved_model.pb", archive.CONFIG) else name


def in_folder(names: Sequence[str]) -> str | None:
    """Say what a folder is that is no model itself, and where in it a model lies; None where nothing is recognised."""
    models = sorted((name for name in names if _is_model(name)), key=_newest_first)
    if not models:
        return _without_model(names)
    kind = "a folder of MLflow" if "MLmodel" in names else "a folder with a model in it"
    if re.fullmatch(r"\d+/saved_model\.pb", models[0]):
        kind = "a folder of TensorFlow Serving"
    return f"is {kind}; its model is {one_line(model_path(models[0]), 100)}: give that path"


def _without_model(names: Sequence[str]) -> str | None:
    if "model.json" in names and any(name.endswith(".bin") for name in names):
        return f"is a model of TensorFlow.js; {_ORIGINAL}"
    if index := next((name for name in names if name.endswith(".index")), None):
        return (
            "is a checkpoint of TensorFlow: weights only, and no model; in Keras 2 (tf_keras), with the code that made"
            f" it: model = build(); model.load_weights({one_line(index.removesuffix('.index'), 60)!r});"
            " model.save('model.keras')"
        )
    return None


def _newest_first(name: str) -> tuple[int, int, str]:
    version = re.match(r"(\d{1,18})/", name)
    return name.count("/"), -int(version[1]) if version else 0, name
