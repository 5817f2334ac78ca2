"""Writes a good model for every kind of layer that is let through, and what Keras says of it: ``zoo.py FOLDER``."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
from keras import layers as k
from keras import ops

PICTURE, ROWS = (28, 28, 1), (28, 28)


def stack(*layers: Any, shape: tuple[int, ...] = PICTURE) -> Any:
    return keras.Sequential([keras.Input(shape), *layers, k.Flatten(), k.Dense(10)])


def residual() -> Any:
    pixels = keras.Input(PICTURE)
    found = k.Conv2D(8, 3, padding="same")(pixels)
    for _ in range(2):
        inner = k.Conv2D(8, 3, padding="same", use_bias=False)(k.ReLU()(k.BatchNormalization()(found)))
        found = k.add([found, inner])
    return keras.Model(pixels, k.Dense(10, "softmax")(k.GlobalAveragePooling2D()(found)))


def arithmetic() -> Any:
    pixels = keras.Input(PICTURE)
    found = k.Dense(4)(ops.reshape(pixels / 255.0 - 0.5, (-1, 784)))
    found = ops.clip(ops.relu(k.Concatenate()([k.Add()([found, k.Dense(4)(found)]), k.Dense(3)(found)])), 0, 1)
    found = k.Subtract()([k.Maximum()([found, found]), k.Minimum()([found, k.Average()([found, found])])])
    return keras.Model(pixels, k.Dense(10)(k.Multiply()([found, found])))


def attention() -> Any:
    rows = keras.Input(ROWS)
    found = k.LayerNormalization()(k.Dense(16)(rows))
    found = k.GroupQueryAttention(8, 4, 2)(k.MultiHeadAttention(2, 8)(found, found), found)
    found = k.EinsumDense("abc,cd->abd", output_shape=(28, 8), bias_axes="d")(found)
    found = k.AdditiveAttention()([k.Attention()([found, found]), found])
    return keras.Model(rows, k.Dense(10)(k.Flatten()(k.Dot(2)([found, found]))))


def shared() -> Any:
    pixels, layer = keras.Input(ROWS), k.Dense(784)
    return keras.Model(pixels, k.Dense(10)(layer(layer(k.Flatten()(pixels)))))


def compiled() -> Any:
    inner = keras.Sequential([keras.Input(PICTURE), k.Conv2D(4, 3, activation="relu")])
    inner.compile("adam", "mse", metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(3)])
    model = stack(inner)
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model.compile(keras.optimizers.SGD(rate), lambda labels, said: 0.0 * said if labels is None else said)
    model.compile(keras.optimizers.SGD(rate), keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    return model


def mixed() -> Any:
    half = [k.Conv2D(4, 3, dtype="mixed_float16"), k.Flatten(dtype="mixed_bfloat16")]
    return keras.Sequential([keras.Input(PICTURE), *half, k.Dense(10, dtype="float32")])


def functions() -> Any:
    kinds = [k.LeakyReLU(0.1), keras.ops.relu, keras.activations.gelu, "softmax"]
    return stack(k.Flatten(), *(k.Dense(10, activation=kind) for kind in kinds), k.Activation(keras.ops.softmax))


def started() -> Any:
    kinds = ["glorot_normal", "he_uniform", "identity", "lecun_normal", "ones", "orthogonal", "random_normal", "zeros"]
    kinds += ["random_uniform", "truncated_normal", "variance_scaling", keras.initializers.Constant(0.1)]
    kept = {
        "kernel_regularizer": keras.regularizers.L1L2(0.1, 0.1),
        "kernel_constraint": keras.constraints.MinMaxNorm(),
    }
    return stack(k.Flatten(), *(k.Dense(784, kernel_initializer=kind, **kept) for kind in kinds))


def one(kind: str, *before: Any, shape: tuple[int, ...] = PICTURE, **settings: Any) -> Callable[[], Any]:
    return lambda: stack(*before, getattr(k, kind)(**settings), shape=shape)


def named(text: str, shape: tuple[int, ...] = PICTURE, **settings: Any) -> dict[str, Callable[[], Any]]:
    return {kind: one(kind, shape=shape, **settings) for kind in text.split()}


SOLID = (28, 28, 2, 1)
ZOO: dict[str, Callable[[], Any]] = {
    **named("AugMix AutoContrast Equalization Normalization RandAugment RandomColorJitter RandomElasticTransform"),
    **named("RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomInvert RandomPerspective Solarization"),
    **named("RandomBrightness RandomContrast RandomHue RandomRotation RandomSaturation RandomSharpness", factor=0.1),
    "RandomColorDegeneration": one("RandomColorDegeneration", shape=(28, 28, 3), factor=0.1),
    "RandomPosterization": one("RandomPosterization", factor=4),
    "RandomShear": one("RandomShear", x_factor=0.1),
    "RandomTranslation": one("RandomTranslation", height_factor=0.1, width_factor=0.1),
    "RandomZoom": one("RandomZoom", height_factor=0.1),
    **named("CenterCrop RandomCrop", height=20, width=21),
    "Resizing": one("Resizing", height=32, width=33),
    "Rescaling": one("Rescaling", scale=1 / 255),
    "known mean": one("Normalization", mean=[0.1307], variance=[0.09]),
    "Pipeline": lambda: stack(k.Pipeline([k.RandomFlip(), k.RandomRotation(0.1)])),
    **named(
        "ActivityRegularization BatchNormalization ELU Flatten Identity LayerNormalization LeakyReLU Masking PReLU"
    ),
    **named("RMSNormalization ReLU Softmax UnitNormalization GlobalAveragePooling2D GlobalMaxPooling2D"),
    **named("AlphaDropout Dropout GaussianDropout SpatialDropout2D", rate=0.1),
    "GaussianNoise": one("GaussianNoise", stddev=0.1),
    "GroupNormalization": one("GroupNormalization", groups=1),
    "Activation": one("Activation", activation="tanh"),
    "Conv2D": one(
        "Conv2D", filters=4, kernel_size=3, strides=2, padding="same", groups=1, kernel_constraint="max_norm"
    ),
    "Conv2DTranspose": one("Conv2DTranspose", filters=4, kernel_size=3, strides=2),
    "DepthwiseConv2D": one("DepthwiseConv2D", kernel_size=3, depth_multiplier=2),
    "SeparableConv2D": one("SeparableConv2D", filters=4, kernel_size=3),
    "channels first": one("Conv2D", shape=(1, 28, 28), filters=3, kernel_size=3, data_format="channels_first"),
    **named("MaxPooling2D AveragePooling2D", pool_size=3, padding="same"),
    **named("AdaptiveMaxPooling2D AdaptiveAveragePooling2D", output_size=(4, 5)),
    "UpSampling2D": one("UpSampling2D", size=2),
    "ZeroPadding2D": one("ZeroPadding2D", padding=((1, 2), (3, 4))),
    "Cropping2D": one("Cropping2D", cropping=2),
    "Permute": one("Permute", dims=(2, 1, 3)),
    "Reshape": one("Reshape", target_shape=(-1, 7)),
    "RepeatVector": lambda: stack(k.Flatten(), k.Dense(4), k.RepeatVector(3)),
    "Embedding": lambda: stack(k.Flatten(), k.Embedding(256, 4)),
    "Conv1D": one("Conv1D", shape=ROWS, filters=4, kernel_size=3, padding="causal", dilation_rate=2),
    **named("Conv1DTranspose SeparableConv1D", shape=ROWS, filters=4, kernel_size=3),
    "DepthwiseConv1D": one("DepthwiseConv1D", shape=ROWS, kernel_size=3),
    **named("MaxPooling1D AveragePooling1D", shape=ROWS, pool_size=2),
    **named("GlobalMaxPooling1D GlobalAveragePooling1D UpSampling1D ZeroPadding1D Cropping1D", shape=ROWS),
    **named("AdaptiveMaxPooling1D AdaptiveAveragePooling1D", shape=ROWS, output_size=4),
    "SpatialDropout1D": one("SpatialDropout1D", shape=ROWS, rate=0.1),
    **named("GRU SimpleRNN", shape=ROWS, units=5),
    "LSTM": one("LSTM", shape=ROWS, units=5, return_sequences=True),
    "RNN": lambda: stack(k.RNN([k.LSTMCell(4), k.GRUCell(3), k.SimpleRNNCell(2)]), shape=ROWS),
    "Bidirectional": lambda: stack(k.Bidirectional(k.LSTM(4)), shape=ROWS),
    "TimeDistributed": lambda: stack(k.TimeDistributed(k.Dense(4)), shape=ROWS),
    "SpectralNormalization": lambda: stack(k.SpectralNormalization(k.Conv2D(4, 3))),
    **named("Conv3D Conv3DTranspose", shape=SOLID, filters=2, kernel_size=(3, 3, 1)),
    **named("MaxPooling3D AveragePooling3D", shape=SOLID, pool_size=(2, 2, 1)),
    **named("AdaptiveMaxPooling3D AdaptiveAveragePooling3D", shape=SOLID, output_size=1),
    **named("GlobalMaxPooling3D GlobalAveragePooling3D UpSampling3D ZeroPadding3D", shape=SOLID),
    "Cropping3D": one("Cropping3D", shape=SOLID, cropping=((1, 1), (1, 1), (0, 0))),
    "SpatialDropout3D": one("SpatialDropout3D", shape=SOLID, rate=0.1),
    "ConvLSTM1D": one("ConvLSTM1D", shape=PICTURE, filters=2, kernel_size=3, return_sequences=True),
    "ConvLSTM2D": one("ConvLSTM2D", shape=(2, 14, 28, 1), filters=2, kernel_size=3),
    "ConvLSTM3D": one("ConvLSTM3D", shape=(2, 14, 28, 1, 1), filters=2, kernel_size=(3, 3, 1)),
    "inner model": lambda: stack(keras.Sequential([keras.Input(PICTURE), k.Conv2D(4, 3)]), halved()),
    **{make.__name__: make for make in (residual, arithmetic, attention, shared, compiled, mixed, functions, started)},
}


ALSO_H5 = (
    "residual",
    "inner model",
    "RNN",
    "Bidirectional",
    "Conv2D",
    "known mean",
    "functions",
    "started",
    "compiled",
)


def halved() -> Any:
    pixels = keras.Input((26, 26, 4))
    return keras.Model(pixels, k.MaxPooling2D()(pixels))


def largest(model: Any) -> int:
    """Numbers in the largest output of a layer that has one."""
    found = [math.prod(model.outputs[0].shape[1:])]
    for layer in model.layers:
        with contextlib.suppress(AttributeError, TypeError):
            found.append(math.prod(layer.output.shape[1:]))
    return int(max(found))


def main(folder: str) -> None:
    """Write the zoo, as .keras and some as .h5, with what Keras says of each."""
    Path(folder).mkdir()
    facts = {}
    for name, make in ZOO.items():
        model = make()
        model.save(Path(folder, f"{name}.keras"))
        if name in ALSO_H5:
            model.save(Path(folder, f"{name}.h5"))
        facts[name] = {
            "parameters": model.count_params(),
            "output": list(model.outputs[0].shape[1:]),
            "largest": largest(model),
        }
        keras.utils.clear_session()
    Path(folder, "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
