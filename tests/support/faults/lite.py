"""Models for devices: a Keras model converted to TensorFlow Lite, as it is, in whole numbers, and damaged.

``python -P lite.py GOOD.keras DIGITS.npy FOLDER``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CUSTOM_OPERATION = 32


def edited(content: bytes, change: Callable[[Any], object]) -> bytes:
    """Change a model's flatbuffer as objects."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def custom(model: Any) -> None:
    code = model.operatorCodes[0]
    code.deprecatedBuiltinCode = code.builtinCode = CUSTOM_OPERATION
    code.customCode = b"Mine\n"


def outside(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs = [9999, 1, 2]


def short(model: Any) -> None:
    next(buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data) > 64).data = b"x" * 64


def huge(model: Any) -> None:
    model.subgraphs[0].tensors[0].shape = [1, 1 << 15, 1 << 15, 1]


def branching(model: Any) -> None:
    code = model.operatorCodes[0]
    code.deprecatedBuiltinCode = code.builtinCode = 118  # IF


HOSTILE = {change.__name__: change for change in (custom, outside, short, huge, branching)}


def build(good: Path, digits: Path, folder: Path) -> None:
    import keras
    import numpy as np
    import tensorflow as tf

    model = keras.saving.load_model(good)
    pixels = (np.load(digits) / np.float32(255))[..., np.newaxis]

    def converted(name: str, **settings: Any) -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        for setting, value in settings.items():
            setattr(converter, setting, value)
        content: bytes = converter.convert()
        (folder / f"{name}.tflite").write_bytes(content)
        return content

    small = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": lambda: ([pixels[at : at + 1]] for at in range(100)),
    }
    exact = converted("float")
    converted("dynamic", optimizations=[tf.lite.Optimize.DEFAULT])
    converted("int8", **small)
    converted("uint8", **small, inference_input_type=tf.uint8, inference_output_type=tf.uint8)
    for name, change in HOSTILE.items():
        (folder / f"{name}.tflite").write_bytes(edited(exact, change))
    np.save(folder / "answers.npy", model.predict(pixels, verbose=0))
    model = keras.Sequential([keras.Input(batch_shape=(4, 28, 28, 1)), *model.layers])
    converted("fixed")


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    given, shown, target = map(Path, sys.argv[1:])
    target.mkdir()
    build(given, shown, target)
