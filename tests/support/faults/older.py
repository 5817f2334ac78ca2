"""Model files as Keras 1 and 2 wrote them, made by tf_keras and edited by h5py into older forms.

``python -P older.py FOLDER`` writes the files, and answers.npz with what tf_keras itself answers to IMAGES.
"""

from __future__ import annotations

import base64
import json
import marshal
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

IMAGES = (np.arange(16 * 784).reshape(16, 28, 28) * 7 % 256).astype(np.uint8)
JUDGED = (  # read by Keras 2, each of them
    "sequential.keras",
    "functional.keras",
    "lstm.keras",
    "lstm.h5",
    "arithmetic.h5",
    "bare_list.h5",
    "built.h5",
    "twice_declared.h5",
    "true_by_word.h5",
    "typed_initialiser.h5",
    "augmented.keras",
)
Config = dict[str, Any]


def edited(path: Path, source: Path, change: Callable[[Config], object], version: str = "2.2.4") -> None:
    """Write ``source``, an HDF5 file, with another configuration and version."""
    import h5py

    shutil.copy(source, path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config = change(config) or config
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), version


def without_input(config: Config) -> list[Config]:
    """Drop the first layer, and let the next declare the input, as before 2.2.3."""
    first, second, *rest = config["config"]["layers"]
    second["config"]["batch_input_shape"] = first["config"]["batch_input_shape"]
    return [second, *rest]


def bare_list(config: Config) -> Config:
    return {"class_name": "Sequential", "config": without_input(config)}


def built(config: Config) -> None:
    shape = config["config"]["layers"].pop(0)["config"]["batch_input_shape"]
    config["config"]["build_input_shape"] = shape
    timed(config)


def timed(config: Config) -> None:
    """Write what Keras 3 does not take: an initialiser with a number type."""
    config["config"]["layers"][-1]["config"]["bias_initializer"] = {
        "class_name": "Zeros",
        "config": {"dtype": "float32"},
    }


def twice_declared(config: Config) -> None:
    config["config"]["layers"] = without_input(config)
    config["config"]["layers"][1]["config"]["batch_input_shape"] = [None, 26, 26, 4]
    timed(config)


def true_by_word(config: Config) -> None:
    config["config"]["layers"][-1]["config"]["use_bias"] = "true"
    timed(config)


def with_lambda(config: Config, mark: Path) -> None:
    code = compile(f"(lambda x: (open({str(mark)!r}, 'w').close(), x)[1])", "it", "eval").co_consts[0]
    function = [base64.b64encode(marshal.dumps(code)).decode(), None, None]
    settings = {"name": "l", "function": function, "function_type": "lambda", "output_shape_type": "raw"}
    config["config"]["layers"].insert(1, {"class_name": "Lambda", "config": settings})


def calling(config: Config, function: str) -> None:
    settings = {"name": "x", "function": function}
    config["config"]["layers"].insert(1, {"class_name": "TFOpLambda", "config": settings})


def imported(path: Path, source: Path) -> None:
    """Write a .keras file whose first layer is of a module that would be imported for it."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(path, "w") as made:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1] |= {"module": "antigravity", "class_name": "fly"}
                content = json.dumps(config).encode()
            made.writestr(name, content)


def build(folder: Path) -> None:
    import tf_keras as keras

    layers = keras.layers
    keras.utils.set_random_seed(0)

    def sequential(*inner: Any, shape: tuple[int, ...] = (28, 28, 1)) -> Any:
        return keras.Sequential([keras.Input(shape), *inner, layers.Dense(10, activation="softmax")])

    given = keras.Input((28, 28))
    models = {
        "sequential": sequential(layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten()),
        "functional": keras.Model(given, layers.Dense(10, activation="softmax")(layers.Flatten()(given))),
        "arithmetic": keras.Model(given, layers.Dense(10, activation="softmax")(layers.Flatten()(given * 2.0 + 1.0))),
        "lstm": sequential(layers.LSTM(8, recurrent_activation="hard_sigmoid"), shape=(28, 28)),
        "hard": sequential(layers.Flatten(), layers.Dense(16, activation="hard_sigmoid")),
        "softmax_inside": keras.Sequential(
            [keras.Input((28, 28, 1)), layers.Conv2D(10, 28, activation="softmax"), layers.Flatten()]
        ),
        "augmented": sequential(
            keras.Sequential([layers.RandomRotation(0.1), layers.RandomZoom(0.1)]), layers.Flatten()
        ),
    }
    models["sequential"].compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    answers = {}
    for name, model in models.items():
        answers[name] = model(
            (IMAGES / np.float32(255)).reshape(16, *model.inputs[0].shape[1:]), training=False
        ).numpy()
        model.save(folder / f"{name}.keras")
        model.save(folder / f"{name}.h5")
    for change in (bare_list, built, twice_declared, true_by_word):
        edited(folder / f"{change.__name__}.h5", folder / "sequential.h5", change)
        answers[change.__name__] = answers["sequential"]
    edited(folder / "typed_initialiser.h5", folder / "sequential.h5", timed)
    answers["typed_initialiser"] = answers["sequential"]

    models["sequential"].save(folder / "saved")
    recurrent = sequential(layers.Bidirectional(layers.LSTM(4, return_sequences=True)), layers.GRU(4), shape=(28, 28))
    recurrent.compile("adam", "sparse_categorical_crossentropy")
    recurrent.save(folder / "saved_recurrent")
    answers["saved_recurrent"] = recurrent(IMAGES / np.float32(255), training=False).numpy()
    np.savez(folder / "answers.npz", **answers)
    models["functional"].set_weights([60 * weight for weight in models["functional"].get_weights()])
    models["functional"].save(folder / "sharp.keras")
    shutil.copytree(folder / "saved", folder / "bare")
    (folder / "bare" / "keras_metadata.pb").unlink()
    shutil.copytree(folder / "saved", folder / "served" / "2")
    shutil.copytree(folder / "bare", folder / "served" / "10")
    (folder / "mlflow" / "data").mkdir(parents=True)
    (folder / "mlflow" / "MLmodel").write_text("flavors:\n  keras:\n")
    shutil.copy(folder / "sequential.keras", folder / "mlflow" / "data" / "model.keras")
    models["sequential"].save_weights(folder / "only.h5")
    models["sequential"].save_weights(folder / "only.weights.h5")

    mark = folder / "mark"
    edited(folder / "lambda.h5", folder / "sequential.h5", lambda config: with_lambda(config, mark))
    edited(folder / "writing.h5", folder / "sequential.h5", lambda config: calling(config, "io.write_file"))
    imported(folder / "imported.keras", folder / "sequential.keras")
    edited(folder / "of_keras_1.h5", folder / "sequential.h5", of_keras_1, "1.2.2")


def of_keras_1(config: Config) -> None:
    settings = {"name": "c", "nb_filter": 4, "nb_row": 3, "nb_col": 3, "border_mode": "valid"}
    config["config"]["layers"][1] = {"class_name": "Convolution2D", "config": settings}


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    target = Path(sys.argv[1])
    target.mkdir()
    build(target)
