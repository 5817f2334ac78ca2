"""Trains an mlp and a cnn for each kind of preprocessing: ``contracts.py mnist.npz folder``, by itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from harness.records import InputKind
from harness.references.contracts import normalizer

KINDS: tuple[InputKind, ...] = ("raw", "symmetric", "standardised", "inverted", "l2")


def mlp() -> tuple[tuple[int, ...], list[Any]]:
    return (28, 28), [layers.Flatten(), layers.Dense(128, "relu"), layers.Dense(10, "softmax")]


def cnn() -> tuple[tuple[int, ...], list[Any]]:
    """Normalised inside: without that a cnn of standardised pixels may read as well what is not."""
    body: list[Any] = []
    for filters in (16, 32):
        body += [layers.Conv2D(filters, 3, 2, use_bias=False), layers.BatchNormalization(), layers.ReLU()]
    return (28, 28, 1), [*body, layers.Flatten(), layers.Dense(10, "softmax")]


ARCHS = {"mlp": mlp, "cnn": cnn}


def trained(arch: str, kind: InputKind, images: Any, labels: Any) -> Any:
    """Two epochs. Models of raw pixels take whole numbers and divide in a layer of their own."""
    keras.utils.set_random_seed(0)
    shape, body = ARCHS[arch]()
    takes, first = ("uint8", [layers.Rescaling(1 / 255)]) if kind == "raw" else ("float32", [])
    model = keras.Sequential([keras.Input(shape, dtype=takes), *first, *body])
    model.compile("adam", "sparse_categorical_crossentropy")
    given = normalizer(kind, dtype=takes)(images).reshape(-1, *shape)
    model.fit(given, labels, batch_size=128, epochs=2, verbose=0)
    return model


def main(mnist: str, folder: str) -> None:
    """Write ``KIND-ARCH.keras``."""
    with np.load(mnist) as data:
        images, labels = data["x_train"], data["y_train"]
    for kind in KINDS:
        for arch in ARCHS:
            trained(arch, kind, images, labels).save(Path(folder, f"{kind}-{arch}.keras"))


if __name__ == "__main__":
    main(*sys.argv[1:])
