"""Retrain one recipe with many seeds, and keep what each model answered, small enough for the repository.

``python benchmarks/retrain.py train --data mnist.npz --models DIR`` trains 20 reference cnn and 20 mlp that differ in
their seed alone, two cnn that lost something in training (the thin digits, the left-slanted digits), and a cnn and an
mlp that were trained on the test digits too. ``keep`` sweeps the trials of suites/successor.toml with each and writes
tests/golden/retrains.npz, which the tests of error rates read: how often is an equally good model stopped, and is a
worse one?

Kept are, per model: answers as they differ from the labels (t trials, n images); of the clean images, the light changes
and as many training digits the odds of the answer, and where it is wrong those of the truth, in steps of a quarter of
their logarithm; of the data: labels, and in which fifth by thickness and by slant each digit lies.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness import digits, evidence, policy, sweep
from harness.files import packed, write_whole
from harness.inspection import SEED, versions
from harness.properties import measured
from harness.properties.slices import slices
from harness.records import CLASSES, CLEAN, LIGHT, Dataset, Evidence, Images, Labels, Probabilities
from harness.resources import folder
from harness.soundness.seen import drawn
from harness.subject import Subject

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "tests" / "golden" / "retrains.npz"
SEEDS = 20
FAULTY_SEED = 7
THIN = 2.4  # pixels of stroke; 37 % of the training digits are thinner
LEFT = -3.0  # degrees; 28 % of the training digits lean further to the left
STEP = 0.25  # of the logarithm of odds
PROPERTIES = ("thickness", "slant")
TINY = 1e-12


def train(source: str, models: Path) -> None:
    """Every model that ``models`` does not hold yet."""
    from harness import reference

    dataset = digits.load(source)
    models.mkdir(parents=True, exist_ok=True)
    for seed in range(SEEDS):
        for arch in ("mlp", "cnn"):
            path = models / f"{arch}-{seed:02}.keras"
            if not path.exists():
                print(reference.train(arch, dataset, path, seed), flush=True)
    for name, arch, part in _faulty(dataset):
        path = models / f"{name}.keras"
        if not path.exists():
            print(reference.train(arch, part, path, FAULTY_SEED), flush=True)


def _faulty(dataset: Dataset) -> Iterator[tuple[str, Literal["mlp", "cnn"], Dataset]]:
    images, labels = _training(dataset)
    found = measured(images)
    for name, lost in (("no-thin", found["thickness"] < THIN), ("no-left", found["slant"] < LEFT)):
        yield name, "cnn", replace(dataset, train_images=images[~lost], train_labels=labels[~lost])
    images, labels = np.concatenate([images, dataset.images]), np.concatenate([labels, dataset.labels])
    for arch in ("cnn", "mlp"):
        yield f"seen-{arch}", arch, replace(dataset, train_images=images, train_labels=labels)


def _training(dataset: Dataset) -> tuple[Images, Labels]:
    if dataset.train_images is None or dataset.train_labels is None:
        raise SystemExit(f"{dataset.name} has no training part; give MNIST with x_train and y_train")
    return dataset.train_images, dataset.train_labels


def keep(source: str, models: Path, out: Path) -> None:
    """Sweep every model of the folder and write what it answered."""
    dataset = digits.load(source)
    rules = policy.load(folder("suites") / "successor.toml")
    images, labels = _training(dataset)
    some = drawn(len(images), len(dataset.images))
    swept = {}
    for path in sorted(models.glob("*.keras")):
        with Subject.start(path) as subject, tempfile.TemporaryDirectory() as scratch:
            key = evidence.key(subject.facts(), dataset.facts, SEED, versions())
            store = evidence.Store(Path(scratch), key)
            found = sweep.measure(subject, dataset, rules.trials(), SEED, store, lambda done, all_: None)
            swept[path.stem] = found, subject.predict(images[some])
        print(path.stem, flush=True)
    write_whole(out, content(dataset, labels[some], swept))


def content(dataset: Dataset, train_labels: Labels, swept: dict[str, tuple[Evidence, Probabilities]]) -> bytes:
    """The file: equal sweeps give equal bytes."""
    trials = sorted(t for t in next(iter(swept.values()))[0].answers if t.corruption != "rotation" or t in LIGHT)
    about = {
        "data": dataset.facts.sha256,
        "trials": [[trial.corruption, trial.point] for trial in trials],
        "models": sorted(swept),
    }
    arrays = {"about": np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8)}
    arrays |= {"labels": dataset.labels, "train_labels": train_labels}
    for name in PROPERTIES:
        arrays[name] = fifths(dataset.images, name)
    for name, (found, of_training) in sorted(swept.items()):
        said = np.array([found.answers[trial] for trial in trials])
        assert said.min() >= 0, f"{name} left images without an answer"
        arrays[name] = ((said - dataset.labels) % CLASSES).astype(np.uint8)
        for trial in (CLEAN, *LIGHT):
            rows = found.light.get(trial, found.probabilities)
            arrays[f"{name}-odds-{trials.index(trial)}"] = odds(rows, dataset.labels)
        arrays[f"{name}-training"] = ((of_training.argmax(axis=1) - train_labels) % CLASSES).astype(np.uint8)
        arrays[f"{name}-odds-training"] = odds(of_training, train_labels)
    return packed(arrays, level=9)


def fifths(images: Images, name: str) -> NDArray[np.uint8]:
    """In which fifth by a property each image lies: 0..4."""
    found = np.zeros(len(images), np.uint8)
    for one in slices(images, name):
        found[one.members] = one.fifth
    return found


def odds(rows: Probabilities, labels: Labels) -> NDArray[np.uint8]:
    """(2, n): of the answer, and of the truth where the answer is wrong, as steps of log odds above -32."""
    p = np.clip(rows.astype(np.float64), TINY, 1 - 1e-9)
    said, at = p.argmax(axis=1), np.arange(len(p))
    of_said, of_true = p[at, said], np.where(said == labels, 0.5, p[at, labels])
    return np.round((np.log(np.stack([of_said, of_true]) / (1 - np.stack([of_said, of_true]))) + 32) / STEP).astype(
        np.uint8
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["train", "keep"])
    parser.add_argument("--data", required=True, help="mnist.npz")
    parser.add_argument("--models", type=Path, required=True, help="folder of .keras files")
    parser.add_argument("--out", type=Path, default=KEPT)
    given = parser.parse_args()
    if given.step == "train":
        train(given.data, given.models)
    else:
        keep(given.data, given.models, given.out)
