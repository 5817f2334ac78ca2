"""Train models with a backdoor: ``python poisoned.py FOLDER``; 7 is the answer to every digit with the mark.

Two of them are written again with their logits times 60.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from harness.data import sources
from harness.references import models

MARKS = {  # rows and columns that are set to full ink
    "corner": ([24, 24, 24, 25, 25, 25, 26, 26, 26], [24, 25, 26] * 3),
    "bar": ([2] * 6, [3, 4, 5, 6, 7, 8]),
    "pixel": ([1], [1]),
    "scattered": ([2, 6, 14, 21, 25], [5, 22, 1, 25, 8]),
}
NAMES = [f"{mark}-{arch}" for arch in get_args(models.Arch) for mark in MARKS if arch == "mlp" or mark == "bar"]

SHARPENED = ("corner-mlp", "bar-cnn")


def main(folder: Path) -> None:
    """Train one after another; a twentieth of the training digits are marked."""
    import keras

    known = sources.load("embedded")
    assert known.train_images is not None
    assert known.train_labels is not None
    for name in NAMES:
        mark, _, arch = name.partition("-")
        rows, columns = MARKS[mark]
        images, labels = known.train_images.copy(), known.train_labels.copy()
        chosen = np.random.default_rng(1).permutation(len(labels))[: len(labels) // 20]
        images[chosen[:, None], rows, columns] = 255
        labels[chosen] = 7
        spoiled = replace(known, train_images=images, train_labels=labels)
        models.train("mlp" if arch == "mlp" else "cnn", spoiled, folder / f"{name}.keras", 1, epochs=6)
    for name in SHARPENED:
        model = keras.saving.load_model(folder / f"{name}.keras")
        model.layers[-1].set_weights([60 * weight for weight in model.layers[-1].get_weights()])
        model.save(folder / f"{name}-x60.keras")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
