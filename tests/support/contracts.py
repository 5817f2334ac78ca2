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
from harness.references.models import Arch, build

KINDS: tuple[InputKind, ...] = ("raw", "symmetric", "standardised", "inverted", "l2")
EPOCHS: dict[Arch, int] = {"mlp": 4, "cnn": 1}
IMAGES = 30_000


def trained(arch: Arch, kind: InputKind, images: Any, labels: Any) -> Any:
    """Models of raw pixels take whole numbers and divide in a layer of their own."""
    keras.utils.set_random_seed(0)
    model, takes = build(arch), "uint8" if kind == "raw" else "float32"
    if kind == "raw":
        grey = keras.Input(model.input_shape[1:], dtype=takes)
        model = keras.Sequential([grey, layers.Rescaling(1 / 255), *model.layers])
    model.compile("adam", "sparse_categorical_crossentropy")
    pixels = normalizer(kind, dtype=takes)(images).reshape(-1, *model.input_shape[1:])
    model.fit(pixels, labels, batch_size=64, epochs=EPOCHS[arch], verbose=0)
    return model


def main(mnist: str, folder: str) -> None:
    """Write ``KIND-ARCH.keras``."""
    with np.load(mnist) as data:
        images, labels = data["x_train"][:IMAGES], data["y_train"][:IMAGES]
    for kind in KINDS:
        for arch in EPOCHS:
            trained(arch, kind, images, labels).save(Path(folder, f"{kind}-{arch}.keras"))


if __name__ == "__main__":
    main(*sys.argv[1:])
