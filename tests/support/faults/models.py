"""Writes models that are wrong in one known way: ``python -P models.py BASE.keras FOLDER``. BASE is a good cnn."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras import layers

INPUT = (28, 28, 1)
FAULTS: dict[str, Callable[[Any], Any]] = {}


def fault(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    FAULTS[make.__name__] = make
    return make


def before(base: Any, *first: Any, shape: tuple[int, ...] = INPUT) -> Any:
    return keras.Sequential([keras.Input(shape), *first, *base.layers])


def after(base: Any, *last: Any) -> Any:
    return keras.Sequential([keras.Input(INPUT), *base.layers, *last])


def headless(base: Any, head: Any) -> Any:
    """The same network with another last layer of the same weights where they fit."""
    model = keras.Sequential([keras.Input(INPUT), *base.layers[:-1], head])
    kernel, bias = base.layers[-1].get_weights()
    columns = head.units
    wide = np.zeros((kernel.shape[0], columns), np.float32)
    short = np.full(columns, -20.0, np.float32)
    wide[:, : min(columns, 10)], short[: min(columns, 10)] = kernel[:, :columns], bias[:columns]
    head.set_weights([wide, short])
    return model


def reweighted(base: Any, change: Callable[[list[Any]], None]) -> Any:
    weights = base.get_weights()
    change(weights)
    base.set_weights(weights)
    return base


def flipped(base: Any, share: float) -> Any:
    rng = np.random.default_rng(0)

    def flip(weights: list[Any]) -> None:
        for weight in weights:
            weight[rng.random(weight.shape) < share] *= -1

    return reweighted(base, flip)


@fault
def signs_flipped(base: Any) -> Any:
    return flipped(base, 0.20)


@fault
def signs_of_5_percent_flipped(base: Any) -> Any:
    return flipped(base, 0.05)


@fault
def classes_4_and_9_exchanged(base: Any) -> Any:
    def swap(weights: list[Any]) -> None:
        weights[-2][:, [4, 9]] = weights[-2][:, [9, 4]]
        weights[-1][[4, 9]] = weights[-1][[9, 4]]

    return reweighted(base, swap)


@fault
def divides_again(base: Any) -> Any:
    return before(base, layers.Rescaling(1 / 255))


@fault
def logits(base: Any) -> Any:
    return headless(base, layers.Dense(10))


@fault
def nan_weight(base: Any) -> Any:
    def spoil(weights: list[Any]) -> None:
        weights[0][0, 0, 0, 0] = np.nan

    return reweighted(base, spoil)


@fault
def constant(base: Any) -> Any:
    def still(weights: list[Any]) -> None:
        weights[-2][:] = 0
        weights[-1][:] = np.eye(10)[3]

    return reweighted(base, still)


@fault
def eleven_classes(base: Any) -> Any:
    return headless(base, layers.Dense(11, activation="softmax"))


@fault
def functional(base: Any) -> Any:
    pixels = keras.Input(INPUT)
    return keras.Model(pixels, base(pixels))


@fault
def two_outputs(base: Any) -> Any:
    pixels = keras.Input(INPUT)
    return keras.Model(pixels, [base(pixels), base(pixels)])


@fault
def half_precision(base: Any) -> Any:
    return headless(base, layers.Dense(10, activation="softmax", dtype="float16"))


@fault
def untrained(base: Any) -> Any:
    return keras.models.clone_model(base)


@fault
def never_says_7(base: Any) -> Any:
    def mute(weights: list[Any]) -> None:
        weights[-1][7] = -1e9

    return reweighted(base, mute)


@fault
def sees_digits_shifted(base: Any) -> Any:
    return before(base, layers.ZeroPadding2D(((7, 0), (0, 0))), layers.Cropping2D(((0, 7), (0, 0))))


@fault
def sees_half_the_pixels(base: Any) -> Any:
    return before(base, layers.AveragePooling2D(4), layers.UpSampling2D(4))


@fault
def first_filters_lost(base: Any) -> Any:
    def erase(weights: list[Any]) -> None:
        weights[0][..., :24] = 0

    return reweighted(base, erase)


def main(base: str, folder: str) -> None:
    """Write one file per fault, and the correct variants of the base model."""
    for name, make in FAULTS.items():
        make(keras.saving.load_model(base)).save(Path(folder, f"{name}.keras"))
    good = keras.saving.load_model(base)
    good.save(Path(folder, "good.h5"))
    good.export(Path(folder, "good_saved"), verbose=False)
    with zipfile.ZipFile(base) as archive:
        archive.extractall(Path(folder, "good_folder"))
    flat = keras.Sequential([keras.Input((784,)), layers.Reshape(INPUT), *good.layers])
    flat.save(Path(folder, "good_flat.keras"))
    square = keras.Sequential([keras.Input((28, 28)), layers.Reshape(INPUT), *good.layers])
    square.save(Path(folder, "good_square.keras"))
    good.compile("adam", "categorical_crossentropy")
    good.save(Path(folder, "good_compiled.keras"))


if __name__ == "__main__":
    main(*sys.argv[1:])
