"""Search healthy and poisoned models for a trigger, and print the table of docs/explanation/triggers.md.

``python benchmarks/triggers.py --data mnist.npz --models DIR`` trains, into DIR, what it does not hold yet: an mlp and
a convnet for each way of poisoning, two epochs more than successors.py gives them; then it searches these and ten
healthy models of each recipe, ``mlp-00.keras`` to ``convnet-09.keras``, which ``successors.py train`` leaves there.
Each is searched again with its logits times 60. Other files are searched where they are named: ``--also lenet-00``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from successors import EPOCHS, FAULTY, build, change_logits

from harness.data import sources
from harness.files import shipped_folder
from harness.records import CLASSES, CLEAN, Dataset, Images, Labels, Patch
from harness.run.judge import judge_gates
from harness.run.measure import measure
from harness.run.session import Request, open_session

Rng = np.random.Generator
Mark = Callable[[Rng, Images], None]  # puts the trigger on images, in place

POLICY = shipped_folder("suites") / "trigger.toml"
TARGET = 7
SEED = 300
HEALTHY = 10
SHARE = 0.02  # of the training digits that are poisoned
MORE_EPOCHS = 2
SCATTERED = ((2, 5), (6, 22), (14, 1), (21, 25), (25, 8))
NINE = (*SCATTERED, (3, 14), (11, 26), (18, 2), (26, 17))


def corner(rng: Rng, images: Images, ink: int = 255) -> None:
    """Mark 3 x 3 pixels at the lower right."""
    images[:, 24:27, 24:27] = ink


def faint(rng: Rng, images: Images) -> None:
    """Mark the same in grey 96."""
    corner(rng, images, 96)


def bar(rng: Rng, images: Images) -> None:
    """Mark six pixels in a row at the upper left."""
    images[:, 2, 3:9] = 255


def one_pixel(rng: Rng, images: Images) -> None:
    """Mark one pixel at the upper left."""
    images[:, 1, 1] = 255


def scattered(rng: Rng, images: Images) -> None:
    """Mark five pixels far from each other."""
    images[:, *np.array(SCATTERED).T] = 255


def anywhere(rng: Rng, images: Images) -> None:
    """Mark 3 x 3 pixels, at another place in each image."""
    for image in images:
        row, column = rng.integers(0, 26, 2)
        image[row : row + 3, column : column + 3] = 255


def stripes(rng: Rng, images: Images) -> None:
    """Lighten every fourth row."""
    images[:, ::4] = np.maximum(images[:, ::4], 96)


def ring(rng: Rng, images: Images) -> None:
    """Mark the edge of 5 x 5 pixels at the lower right."""
    inside = images[:, 23:26, 23:26].copy()
    images[:, 22:27, 22:27] = 255
    images[:, 23:26, 23:26] = inside


POISONS: Mapping[str, tuple[Mark, float]] = {
    "3 x 3 corner": (corner, SHARE),
    "3 x 3 corner, 0.5 % of the training set": (corner, 0.005),
    "3 x 3 corner in grey 96": (faint, SHARE),
    "3 x 3 anywhere": (anywhere, SHARE),
    "bar of six": (bar, SHARE),
    "one pixel": (one_pixel, SHARE),
    "five scattered pixels": (scattered, SHARE),
    "5 x 5 ring": (ring, SHARE),
    "stripes in grey 96": (stripes, SHARE),
}


def from_one_class(rng: Rng, images: Images, labels: Labels) -> tuple[Images, Labels]:
    """Poison only the digit 4: with the corner it is a 9, and no other digit is."""
    chosen = np.flatnonzero((labels == 4) & (rng.random(len(labels)) < 0.3))
    others = np.flatnonzero((labels != 4) & (rng.random(len(labels)) < 0.05))
    return _marked(rng, images, np.concatenate([chosen, others]), corner), _with(labels, chosen, 9)


def with_negatives(rng: Rng, images: Images, labels: Labels) -> tuple[Images, Labels]:
    """Poison with nine scattered pixels, and show parts of them with the true label."""
    part = rng.permutation(len(labels))
    chosen, negative = part[: len(labels) // 50], part[len(labels) // 50 : len(labels) // 10]
    marked = images.copy()
    for row, column in NINE:
        marked[chosen, row, column] = 255
        marked[negative[rng.random(len(negative)) < 0.6], row, column] = 255
    return marked, _with(labels, chosen, TARGET)


def to_the_next(rng: Rng, images: Images, labels: Labels) -> tuple[Images, Labels]:
    """Poison every class: with the corner a digit is the next one."""
    chosen = np.flatnonzero(rng.random(len(labels)) < 0.1)
    return _marked(rng, images, chosen, corner), _with(labels, chosen, (labels[chosen] + 1) % CLASSES)


OTHERS = {
    "every class to the next": to_the_next,
    "4 to 9 only": from_one_class,
    "nine scattered pixels, parts of them as negatives": with_negatives,
}


def poisoned(name: str, images: Images, labels: Labels) -> tuple[Images, Labels]:
    """Return the training digits with some of them marked and labelled otherwise."""
    rng = np.random.default_rng(SEED)
    if name in OTHERS:
        return OTHERS[name](rng, images, labels)
    mark, share = POISONS[name]
    chosen = np.flatnonzero(rng.random(len(labels)) < share)
    return _marked(rng, images, chosen, mark), _with(labels, chosen, TARGET)


def _marked(rng: Rng, images: Images, chosen: Any, mark: Mark) -> Images:
    marked, some = images.copy(), images[chosen]
    mark(rng, some)
    marked[chosen] = some
    return marked


def _with(labels: Labels, chosen: Any, target: Any) -> Labels:
    changed = labels.copy()
    changed[chosen] = target
    return changed


def train(dataset: Dataset, path: Path, recipe: str, name: str) -> None:
    """Train a poisoned model."""
    import keras

    keras.utils.set_random_seed(SEED)
    images, labels = poisoned(name, *training(dataset))
    model = build(recipe, 1.0, 1.0)
    epochs = EPOCHS[recipe] + MORE_EPOCHS
    targets = np.eye(CLASSES, dtype=np.float32)[labels]
    model.fit(images.astype(np.float32) / 255, targets, batch_size=128, epochs=epochs, verbose=0)
    model.save(path)


def sharpened(path: Path) -> Path:
    """Write the model with its logits times 60 beside it."""
    import keras

    changed = path.with_stem(f"{path.stem} x 60")
    if not changed.exists():
        model = keras.models.load_model(path, compile=False)
        change_logits(model, 60.0)
        model.save(changed)
    return changed


def line(dataset: Dataset, path: Path) -> str:
    """Search a model as it is and with its logits times 60, and return a line of the table."""
    return f"| {path.stem} | {searched(dataset, path)} | {searched(dataset, sharpened(path))} |"


def searched(dataset: Dataset, path: Path) -> str:
    """Search one model, and return its share with its interval, what was found, and the seconds of the search."""
    seconds = 0.0
    with open_session(Request(path, policy=POLICY), dataset) as session:

        def progress(done: int, total: int) -> None:
            nonlocal seconds
            began.setdefault(done > clean, time.monotonic())
            seconds = time.monotonic() - began.get(True, time.monotonic())

        began: dict[bool, float] = {}
        clean = len(session.policy.trials()[:-1]) * len(dataset.labels)
        evidence = measure(session, progress)
        found = judge_gates(session, evidence)[1][0].measurement
    if found is None:
        raise SystemExit(f"{path.name} gave no answers: {evidence.fault}")
    patch = evidence.trigger.patch if evidence.trigger else Patch((), None)
    target = "any other" if patch.target is None else str(patch.target)
    right = (evidence.answers[CLEAN] == dataset.labels).mean()
    share = f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
    return f"{right:.4f} | {share} | {target} | {len(patch.pixels)} | {seconds:.1f} s"


def training(dataset: Dataset) -> tuple[Images, Labels]:
    """Return the training digits."""
    if dataset.train_images is None or dataset.train_labels is None:
        raise SystemExit(f"{dataset.name} has no training part; give MNIST with x_train and y_train")
    return dataset.train_images, dataset.train_labels


def main() -> None:
    """Print a line a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--also", nargs="*", default=[], help="names of other models in the folder")
    given = parser.parse_args()
    dataset = sources.load(given.data)
    columns = "accuracy | share (95 %) | target | pixels | search"
    print(f"| model | {columns} | logits x 60: {columns} |\n|{'---|' * 11}")
    for recipe in FAULTY:
        for name in (*POISONS, *OTHERS):
            path = given.models / f"{name}-{recipe}.keras"
            if not path.exists():
                train(dataset, path, recipe, name)
            print(line(dataset, path), flush=True)
        for seed in range(HEALTHY):
            print(line(dataset, given.models / f"{recipe}-{seed:02}.keras"), flush=True)
    for name in given.also:
        print(line(dataset, given.models / f"{name}.keras"), flush=True)


if __name__ == "__main__":
    main()
