"""Models for devices: a Keras model converted to TensorFlow Lite, as it is, in whole numbers, and damaged.

``python -P lite.py GOOD.keras DIGITS.npy FOLDER``.
"""

from __future__ import annotations

import copy
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CUSTOM_OPERATION, WHILE = 32, 119


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


def unlisted(model: Any) -> None:
    code = model.operatorCodes[0]
    code.deprecatedBuiltinCode = code.builtinCode = 56  # ARG_MAX


def branching(model: Any) -> None:
    code = model.operatorCodes[0]
    code.deprecatedBuiltinCode = code.builtinCode = 118  # IF


def several(model: Any) -> None:
    model.subgraphs.append(copy.deepcopy(model.subgraphs[0]))


HOSTILE = {change.__name__: change for change in (custom, outside, short, huge, unlisted, branching, several)}


def loop(model: Any) -> Any:
    number = next(at for at, code in enumerate(model.operatorCodes) if code.deprecatedBuiltinCode == WHILE)
    return next(one for one in model.subgraphs[0].operators if one.opcodeIndex == number)


def elsewhere(model: Any) -> None:
    loop(model).builtinOptions.bodySubgraphIndex = 99


def before(model: Any) -> None:
    loop(model).builtinOptions.condSubgraphIndex = -1


def swapped(model: Any) -> None:
    options = loop(model).builtinOptions
    options.condSubgraphIndex, options.bodySubgraphIndex = options.bodySubgraphIndex, options.condSubgraphIndex


def itself(model: Any) -> None:
    """Let the body of the loop begin with this very loop."""
    body = model.subgraphs[2]
    inner = copy.deepcopy(loop(model))
    inner.inputs = inner.outputs = list(body.inputs)
    body.operators.insert(0, inner)


def endless(model: Any) -> None:
    """Let the loop count no further."""
    body = model.subgraphs[2]
    body.outputs = [*body.inputs[:2], *body.outputs[2:]]


def unfit(model: Any) -> None:
    """Put a number that is not finite into a weight that the body of the loop reads."""
    body = model.subgraphs[2]
    stored = [model.buffers[one.buffer] for one in body.tensors if one.type == 0]  # float32
    buffer = next(buffer for buffer in stored if buffer.data is not None)
    buffer.data = struct.pack("<f", float("nan")) + bytes(buffer.data[4:])


LOOPS = {change.__name__: change for change in (elsewhere, before, swapped, itself, endless, unfit)}


def build(good: Path, digits: Path, folder: Path) -> None:
    import keras
    import numpy as np
    import tensorflow as tf
    import tf_keras

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

    recurrent = {}
    for name, library in (("loop", keras), ("masked", keras), ("fused", tf_keras)):
        library.utils.set_random_seed(0)
        first = [library.layers.Masking()] if name == "masked" else []
        layers = [*first, library.layers.LSTM(8), library.layers.Dense(10, activation="softmax")]
        recurrent[name] = library.Sequential([library.Input((28, 28)), *layers])
        np.save(folder / f"{name}.npy", recurrent[name].predict(pixels[..., 0], verbose=0))
        model = library.Sequential([library.Input(batch_shape=(1, 28, 28)), *layers])
        exact = converted(name)
        for hostile, change in LOOPS.items() if name == "loop" else ():
            (folder / f"{hostile}.tflite").write_bytes(edited(exact, change))
    model, operations = recurrent["loop"], tf.lite.OpsSet
    target = tf.lite.TargetSpec(supported_ops=[operations.TFLITE_BUILTINS, operations.SELECT_TF_OPS])
    converted("flex", target_spec=target, _experimental_lower_tensor_list_ops=False)


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    given, shown, target = map(Path, sys.argv[1:])
    target.mkdir()
    build(given, shown, target)
