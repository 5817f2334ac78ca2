"""The reference Sequential models and their training. Imports keras, so nothing else in the library imports this."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from harness.errors import UsageError
from harness.files import write_named
from harness.formatting import one_line
from harness.records import CLASSES, SIDE, Dataset, Images, Origin
from harness.references.preprocessing import normalize, one_hot


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what TensorFlow's C++ half writes to file descriptor 2 while it starts; no setting does."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


with _quiet():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.ops.zeros(1)  # the devices are looked for now, not in the middle of a progress bar

Rng: TypeAlias = np.random.Generator
Arch: TypeAlias = Literal["mlp", "cnn"]

BATCH = 64

_FEWEST_EPOCHS, _MOST_EPOCHS = 5, 30
_ENOUGH_IMAGES = 48_000  # in all epochs together; a smaller set is shown more often
_FIRST_RATE = 2e-3  # of Adam; falls to zero along a cosine
_FURTHEST: dict[Arch, int] = {"mlp": 0, "cnn": 1}  # pixels a training image is moved by, anew each epoch


@dataclass(frozen=True)
class Step:
    """Progress of a training."""

    epoch: int  # 1..epochs
    epochs: int
    batch: int  # 1..batches, within the epoch
    batches: int
    loss: float  # mean of this epoch so far, on training images
    accuracy: float  # 0..1, likewise


@dataclass(frozen=True)
class Trained:
    """A trained model and its loss and accuracy on the test images, by Keras's own ``evaluate``."""

    path: Path
    arch: Arch
    parameters: int
    epochs: int
    seed: int
    origin: Origin
    n: int  # test images
    loss: float
    accuracy: float  # 0..1


Progress: TypeAlias = Callable[[Step], None]


def build(arch: Arch) -> Any:
    """Build an untrained ``keras.Sequential``: images in 0..1, probabilities (n, 10) out.

    ``mlp`` takes (n, 28, 28) and has 784-128-10 units; ``cnn`` takes (n, 28, 28, 1) and is the convnet of Keras's
    MNIST example (34,826 parameters).
    """
    layers = keras.layers
    if arch == "mlp":
        body = [keras.Input((SIDE, SIDE)), layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dropout(0.2)]
    elif arch == "cnn":
        body = [
            keras.Input((SIDE, SIDE, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
        ]
    else:
        raise UsageError(f"arch={arch!r} is unknown; give mlp or cnn")
    return keras.Sequential([*body, layers.Dense(CLASSES, activation="softmax")], name=arch)


def train(
    arch: Arch, dataset: Dataset, out: Path, seed: int, *, epochs: int | None = None, progress: Progress | None = None
) -> Trained:
    """Train on the training part, measure on the test part, write a ``.keras`` file whole or not at all.

    Sets Keras's, NumPy's and Python's global seeds. ``epochs`` None is enough for good digits: 5 of MNIST's 60,000
    images, 12 of the embedded 4,000. UsageError if there is no training part or ``out`` cannot be a ``.keras`` file.
    """
    if dataset.train_images is None or dataset.train_labels is None:
        raise UsageError(
            f"no training part in {dataset.name}; give data with x_train and y_train (--data embedded has them)"
        )
    _check_out(out)
    if epochs is None:
        epochs = min(max(_FEWEST_EPOCHS, _ENOUGH_IMAGES // len(dataset.train_images)), _MOST_EPOCHS)
    if epochs < 1:
        raise UsageError(f"epochs={epochs} must be at least 1")
    keras.utils.set_random_seed(seed)
    model = build(arch)
    steps = epochs * math.ceil(len(dataset.train_images) / BATCH)
    rate = keras.optimizers.schedules.CosineDecay(_FIRST_RATE, steps)
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
    _fit(model, dataset.train_images, one_hot(dataset.train_labels), epochs, np.random.default_rng(seed), progress)
    loss, accuracy = model.evaluate(_inputs(model, dataset.images), one_hot(dataset.labels), verbose=0)
    write_named(out, _saved(model))
    return Trained(
        path=out,
        arch=arch,
        parameters=model.count_params(),
        epochs=epochs,
        seed=seed,
        origin=dataset.origin,
        n=len(dataset.images),
        loss=float(loss),
        accuracy=float(accuracy),
    )


def fetch_mnist() -> None:
    """Have Keras put MNIST into its cache; whatever Keras raises is passed on."""
    keras.datasets.mnist.load_data()


def _check_out(out: Path) -> None:
    """Check before the training that the model can be written. UsageError."""
    if out.suffix != ".keras":
        raise UsageError(f"{one_line(str(out))} must end in .keras, the format a model is saved in")
    if out.is_dir():
        raise UsageError(f"{one_line(str(out))} is a folder; choose another --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise UsageError(
            f"cannot write into {one_line(str(out.parent))}: {error.strerror}; choose another --out"
        ) from error


def _fit(model: Any, images: Images, targets: Any, epochs: int, rng: Rng, progress: Progress | None) -> None:
    batches = math.ceil(len(images) / BATCH)

    def report(epoch: int, batch: int, logs: dict[str, float]) -> None:
        if progress:
            progress(Step(epoch + 1, epochs, batch + 1, batches, float(logs["loss"]), float(logs["accuracy"])))

    watch = _Watch(report)
    for epoch in range(epochs):
        inputs = _inputs(model, _moved(images, _FURTHEST[model.name], rng))
        model.fit(
            inputs, targets, batch_size=BATCH, initial_epoch=epoch, epochs=epoch + 1, verbose=0, callbacks=[watch]
        )


def _moved(images: Images, furthest: int, rng: Rng) -> Images:
    """Move each image by -furthest..furthest pixels down and across; paper comes in from outside."""
    padded = np.pad(images, ((0, 0), (furthest, furthest), (furthest, furthest)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), axis=(1, 2))
    down, across = rng.integers(0, 2 * furthest + 1, (2, len(images)))
    moved: Images = windows[np.arange(len(images)), down, across]
    return moved


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keras's callback, as a function of epoch (0..), batch (0..) and the running means."""

    def __init__(self, report: Callable[[int, int, dict[str, float]], None]) -> None:
        super().__init__()
        self._report = report
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._report(self._epoch, batch, logs)


def _inputs(model: Any, images: Images) -> Any:
    return normalize(images).reshape(-1, *model.input_shape[1:])


def _saved(model: Any) -> bytes:
    with tempfile.TemporaryDirectory(prefix="digits-") as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()
