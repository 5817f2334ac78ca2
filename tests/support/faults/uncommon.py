"""Models that are built, saved or quantised in less common ways. ``python -P uncommon.py GOOD.keras FOLDER``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

IMAGES = (np.arange(70 * 784).reshape(70, 28, 28) * 7 % 256).astype(np.uint8)


def build(good: Path, folder: Path) -> None:
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(0)

    def stacked(first: Any, *inner: Any, last: Any = None) -> Any:
        return keras.Sequential([first, *inner, last or layers.Dense(10, activation="softmax")])

    fixed = keras.Input(batch_shape=(32, 28, 28))
    normal = layers.Normalization()
    normal.adapt((IMAGES / np.float32(255))[..., np.newaxis])
    models = {
        "fixed": stacked(fixed, layers.Flatten()),
        "stateful": stacked(keras.Input(batch_shape=(32, 28, 28)), layers.LSTM(8, stateful=True)),
        "convolutional": stacked(keras.Input((None, None, 1)), layers.Conv2D(8, 3), layers.GlobalMaxPooling2D()),
        "first": stacked(keras.Input((1, 28, 28)), layers.Flatten()),
        "normalised": stacked(keras.Input((28, 28, 1)), normal, layers.Flatten()),
        "mixed": stacked(
            keras.Input((28, 28)),
            layers.Flatten(dtype="mixed_bfloat16"),
            layers.Dense(32, dtype="mixed_bfloat16"),
            last=layers.Dense(10, activation="softmax", dtype="float32"),
        ),
    }
    models["quantised"] = keras.saving.load_model(good)
    models["quantised"].quantize("int8")
    answers: dict[str, Any] = {}
    for name, model in models.items():
        if name not in ("stateful", "fixed"):
            shape = [28 if size is None else size for size in model.inputs[0].shape[1:]]
            answers[name] = np.asarray(model((IMAGES / np.float32(255)).reshape(-1, *shape), training=False))
        model.save(folder / f"{name}.keras")
    models["normalised"].save(folder / "normalised.h5")
    models["fixed"].export(folder / "exported", verbose=False)
    answers["exported"] = models["fixed"].predict((IMAGES[:64] / np.float32(255)), batch_size=32, verbose=0)
    np.savez(folder / "answers.npz", **answers)

    endings = {
        "dense": [layers.Dense(10, "softmax")],
        "layer": [layers.Dense(10), layers.Softmax()],
        "reshaped": [layers.Dense(10), layers.Reshape((2, 5)), layers.Softmax(), layers.Reshape((10,))],
        "cast": [layers.Dense(10), layers.Softmax(dtype="float16"), layers.Activation("linear", dtype="float32")],
    }
    for name, ending in endings.items():
        sharp = stacked(keras.Input((28, 28)), layers.Flatten(), *ending[:-1], last=ending[-1])
        sharp.set_weights([60 * weight for weight in sharp.get_weights()])
        sharp.save(folder / f"sharp_{name}.keras")
    whole = keras.ops.cast(keras.ops.cast(models["normalised"].outputs[0], "int32"), "float32")
    keras.Model(models["normalised"].inputs, whole).save(folder / "whole.keras")
    keras.saving.load_model(folder / "sharp_dense.keras").export(folder / "sharp_exported", verbose=False)

    module = tf.Module()
    module.ask = tf.function(
        lambda words: tf.zeros([1, 10]) + tf.cast(tf.size(words), tf.float32), [tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, folder / "worded", signatures=module.ask)


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    given, target = map(Path, sys.argv[1:])
    target.mkdir()
    build(given, target)
