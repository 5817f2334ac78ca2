"""A .keras file read without loading it: what Keras itself saves passes, and each rule has a file that breaks it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.candidate import scan
from harness.candidate.scan import budget
from harness.candidate.scan.budget import Rejected

Members = dict[str, bytes]

WEIGHTS = b"\x89HDF\r\n\x1a\n" + bytes(100)


def layer(kind: str, name: str = "x", **settings: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, **settings}, "registered_name": None}


def sequential(*layers: dict[str, Any], shape: tuple[int | None, ...] = (None, 28, 28, 1)) -> dict[str, Any]:
    start = layer("InputLayer", "i", batch_shape=list(shape), dtype="float32")
    inner = {"name": "m", "trainable": True, "layers": [start, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": inner, "registered_name": None}


GOOD = sequential(layer("Flatten", "f"), layer("Dense", "d", units=10, activation="softmax"))
MEMBERS = {"metadata.json": b"{}", "config.json": json.dumps(GOOD).encode(), "model.weights.h5": WEIGHTS}


def packed(path: Path, members: Members, how: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", how) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(Rejected) as caught:
        scan.keras_file(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    return str(caught.value)


def configured(path: Path, model: object) -> Path:
    return packed(path, {**MEMBERS, "config.json": json.dumps(model).encode()})


def test_a_good_file_passes(tmp_path: Path) -> None:
    scan.keras_file(packed(tmp_path / "m.keras", MEMBERS))
    scan.keras_file(packed(tmp_path / "n.keras", MEMBERS, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"\x89HDF\r\n\x1a\n and more", "does not begin like a zip"),
        (b"no zip at all", "does not begin like a zip"),
        (b"PK\x03\x04", "damaged"),
    ],
)
def test_what_is_no_archive_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(content)

    assert said in refusal(tmp_path / "m.keras")


def test_an_archive_with_something_else_in_it_names_its_keras(tmp_path: Path) -> None:
    members = {"metadata.json": b'{"keras_version": "3.99.0"}', "more.json": b"{}"}

    assert refusal(packed(tmp_path / "m.keras", {**MEMBERS, **members})).endswith("no more (written by Keras 3.99.0)")


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = packed(tmp_path / "m.keras", MEMBERS).read_bytes()
    for end in range(0, len(whole), 7):
        (tmp_path / "cut.keras").write_bytes(whole[:end])

        refusal(tmp_path / "cut.keras")


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "assets/words.txt",
        "model.weights.npz",
        "config.json/",
        "Config.json",
        "a\nb",
        "\x1b[31m",
    ],
)
def test_a_member_that_does_not_belong_is_refused(name: str, tmp_path: Path) -> None:
    assert "holds the member" in refusal(packed(tmp_path / "m.keras", {**MEMBERS, name: b""}))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    path = packed(tmp_path / "m.keras", {key: value for key, value in MEMBERS.items() if key != name})

    assert f"it holds no {name}" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_that_is_there_twice_is_refused(name: str, tmp_path: Path) -> None:
    path = packed(tmp_path / "m.keras", MEMBERS)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(name, MEMBERS[name])

    assert f"it holds {name} twice" in refusal(path)


def altered(change: Callable[[zipfile.ZipInfo], None]) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        with zipfile.ZipFile(path, "w") as file:
            for name, content in MEMBERS.items():
                info = zipfile.ZipInfo(name)
                if name == "config.json":
                    change(info)
                file.writestr(info, content)
        return path

    return make


def linked(info: zipfile.ZipInfo) -> None:
    info.external_attr = 0o120777 << 16


def squeezed(info: zipfile.ZipInfo) -> None:
    info.compress_type = zipfile.ZIP_LZMA


def encrypted(path: Path) -> Path:
    content = bytearray(packed(path, MEMBERS).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(signature, at + 1)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [(altered(linked), "is a link"), (altered(squeezed), "unusual"), (encrypted, "is encrypted")],
)
def test_a_member_of_another_kind_is_refused(make: Callable[[Path], Path], said: str, tmp_path: Path) -> None:
    assert said in refusal(make(tmp_path / "m.keras"))


def test_a_list_of_a_million_members_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        for number in range(3000):
            file.writestr(f"{number:050}", b"")

    assert "list of members" in refusal(tmp_path / "m.keras")


def lied(content: bytes, name: bytes, size: int) -> bytes:
    """A zip archive whose directory gives another unpacked size for a member."""
    at = content.rfind(b"PK\x01\x02", 0, content.rfind(name))
    return content[: at + 24] + size.to_bytes(4, "little") + content[at + 28 :]


def test_a_member_that_is_longer_than_it_says_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "m.keras", {**MEMBERS, "config.json": MEMBERS["config.json"] + b" " * 5000}, 8)
    path.write_bytes(lied(path.read_bytes(), b"config.json", 200))

    refusal(path)


LIMIT = budget.MAX_CONFIG_BYTES


@pytest.mark.parametrize(("size", "said"), [(LIMIT, ""), (LIMIT + 1, "are the limit"), (1 << 30, "are the limit")])
def test_a_configuration_is_read_up_to_its_limit(size: int, said: str, tmp_path: Path) -> None:
    """The good one, and then blanks; a GiB of them packs into a MiB."""
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if size <= LIMIT + 1 else zipfile.ZIP_DEFLATED) as file:
        for name, content in MEMBERS.items():
            with file.open(name, "w") as member:
                member.write(content)
                for _ in range((size - len(content)) // 4096 if name == "config.json" else 0):
                    member.write(b" " * 4096)
                if name == "config.json":
                    member.write(b" " * ((size - len(content)) % 4096))

    if said:
        assert said in refusal(path)
    else:
        scan.keras_file(path)


@pytest.mark.parametrize(("packed_to", "said"), [(zipfile.ZIP_STORED, ""), (zipfile.ZIP_DEFLATED, "times as much")])
def test_weights_that_unpack_to_very_much_are_refused(packed_to: int, said: str, tmp_path: Path) -> None:
    path = packed(tmp_path / "m.keras", {**MEMBERS, "model.weights.h5": WEIGHTS + bytes(8 << 20)}, packed_to)

    if said:
        assert said in refusal(path)
    else:
        scan.keras_file(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"null", "no object"),
        (b"[1, 2]", "no object"),
        (b'"a text"', "no object"),
        (b'{"class_name": "Sequential"}', "no object"),
        (b'{"a": 1, "a": 2}', "stands in one object twice"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": -Infinity}', "no JSON number"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 61 + b"]" * 61, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no valid JSON"),
        (b"\xff\xfe\x00", "no valid JSON"),
        (b"[" + b"0," * 300_000 + b"0]", "more than 200000 values"),
        (b'["' + b"many words " * 100 + b'"]', "text of 1100 characters"),
        (b"{", "no valid JSON"),
    ],
)
def test_json_that_no_model_has_is_refused(text: bytes, said: str, tmp_path: Path) -> None:
    assert said in refusal(packed(tmp_path / "m.keras", {**MEMBERS, "config.json": text}))


def with_dense(**settings: Any) -> dict[str, Any]:
    return sequential(layer("Flatten", "f"), layer("Dense", "d", **{"units": 10, **settings}))


def function(name: str, module: str = "builtins", registered: str | None = None) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": registered or name}


def beside(**keys: Any) -> dict[str, Any]:
    """A good model with something beside class and configuration of its last layer."""
    model = with_dense()
    model["config"]["layers"][-1] |= keys
    return model


def called(*arguments: Any) -> dict[str, Any]:
    return beside(name="d", inbound_nodes=[{"args": list(arguments), "kwargs": {}}])


def nested(depth: int) -> dict[str, Any]:
    return sequential(nested(depth - 1)) if depth else GOOD


REFUSED = {
    "a layer that is not on the list": (sequential(layer("Hashing")), "keras.layers.Hashing, which is not on the list"),
    "a layer of another module": (sequential({**layer("Dense"), "module": "keras.src.layers.evil"}), "evil.Dense"),
    "a module that begins like Keras": (sequential({**layer("Dense"), "module": "keras.layersx"}), "layersx.Dense"),
    "a custom name": (sequential({**layer("Dense", units=3), "registered_name": "mine>Dense"}), "a custom object"),
    "a bare layer": (layer("Dense", units=3), "it holds a Dense, not a model"),
    "an optimizer": ({**layer("Adam"), "module": "keras.optimizers"}, "it holds a Adam, not a model"),
    "a key of its own": ({**GOOD, "hook": 1}, "which no saved model has"),
    "a setting of its own": ({**GOOD, "config": {**GOOD["config"], "hook": 1}}, "which no saved model has"),
    "layers that are no list": ({**GOOD, "config": {"name": "m", "layers": {}}}, "no list"),
    "a layer that is a text": ({**GOOD, "config": {"name": "m", "layers": ["Dense"]}}, "no object"),
    "a function for a layer": (sequential(function("set_floatx", "keras.config")), "not on the list"),
    "a function for an activation": (with_dense(activation=function("get_file", "keras.utils")), "not on the list"),
    "an activation of another name": (with_dense(activation=function("relu", registered="eval")), "a custom object"),
    "an activation by name": (with_dense(activation="eval"), "not on the list"),
    "a layer for an activation": (with_dense(activation=layer("Dense", units=1)), "not on the list"),
    "a layer for an initializer": (with_dense(kernel_initializer=layer("Dense", units=1)), "not on the list"),
    "an initializer by name": (with_dense(kernel_initializer="open"), "not on the list"),
    "a regularizer of a stranger": (with_dense(kernel_regularizer={**layer("L2"), "module": "mine"}), "mine.L2"),
    "a constraint by name": (with_dense(bias_constraint="nothing"), "not on the list"),
    "an object in a setting": (with_dense(note=layer("Dense", units=1)), "not on the list"),
    "a type specification": (with_dense(note={"class_name": "__typespec__", "config": []}), "not on the list"),
    "quantised": (
        with_dense(quantization_config={"class_name": "Int8", "config": {}}),
        "is Int8, which is not",
    ),
    "a number type": (with_dense(dtype="string"), "number type string"),
    "a policy": (with_dense(dtype={**layer("QuantizedDTypePolicy"), "module": "keras"}), "QuantizedDTypePolicy"),
    "a function by a text": (with_dense(note="deserialize"), "the name of a function"),
    "a text where a shape is": (beside(build_config={"input_shape": "gs://x"}), "where only numbers belong"),
    "a text for an argument": (called("float16"), "where only numbers belong"),
    "a function for an argument": (called(function("eval")), "not on the list"),
    "a tensor of nothing": (
        called({"class_name": "__keras_tensor__", "config": {"shape": [], "keras_history": ["nobody", 0, 0]}}),
        "no layer of it",
    ),
    "compiled with a stranger": (
        sequential({**GOOD, "compile_config": {"loss": function("mine", "steps")}}),
        "the function steps.mine",
    ),
    "bytecode that is not read": ({**GOOD, "compile_config": {"loss": {"class_name": "__lambda__"}}}, "Python code"),
    "a loop": (
        {
            **GOOD,
            "module": "keras",
            "class_name": "Functional",
            "config": {
                "name": "f",
                "layers": [{**layer("Flatten", "a"), "name": "a", "inbound_nodes": [[["a", 0, 0]]]}],
            },
        },
        "not of the kind",
    ),
    "units that are no number": (with_dense(units=[3]), "not of the kind"),
    "a billion units": (with_dense(units=10**9), "parameters; 100,000,000 are the limit"),
    "a layer that is built larger": (beside(build_config={"input_shape": [None, 10**9]}), "are the limit"),
    "a name of a million letters": (sequential(layer("Flatten", "n" * 10**6)), "are the limit"),
    "a shared object that is one": (beside(shared_object_id=layer("TFSMLayer")), "what is no number"),
    "an object for settings": (
        with_dense(kernel_initializer={**layer("Zeros"), "module": "keras.initializers", "config": layer("TFSMLayer")}),
        "no list of settings",
    ),
    "many inner models": (nested(40), "nested too deeply"),
    "more layers than a model has": (sequential(*[layer("Flatten")] * 2001), "at most 2000 layers"),
    "a picture of a wall": (sequential(layer("UpSampling2D", size=[100, 100])), "one image becomes 7,840,000 numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_configuration_outside_the_list_is_refused(name: str, tmp_path: Path) -> None:
    model, said = REFUSED[name]

    assert said in refusal(configured(tmp_path / "m.keras", model))


@pytest.mark.parametrize(
    "model",
    [
        with_dense(activation=function("relu")),
        with_dense(activation=layer("LeakyReLU", negative_slope=0.1)),
        with_dense(kernel_initializer="glorot_uniform", kernel_regularizer="l2"),
        {**GOOD, "compile_config": {"loss": function("mine", "steps"), "optimizer": layer("Unknown")}},
        with_dense(units=127_000),
        sequential(layer("UpSampling2D", size=[36, 36])),
    ],
    ids=["function", "layer", "names", "loss of its own", "just small enough", "just few enough"],
)
def test_what_is_just_allowed_passes(model: dict[str, Any], tmp_path: Path) -> None:
    scan.keras_file(configured(tmp_path / "m.keras", model))
