"""Retrain one recipe with many seeds, and keep what each model answered, small enough for the repository.

``python benchmarks/retrain.py train --data mnist.npz --models DIR`` trains 20 reference cnn and 20 mlp that differ in
their seed alone, two cnn that lost something in training (the thin digits, the left-slanted digits), and a cnn and an
mlp that were trained on the test digits too. ``keep`` sweeps the trials of suites/successor.toml with each and writes
tests/golden/retrains.npz, which the tests of error rates read: how often is an equally good model stopped, and is a
worse one?

Kept are, per model: answers as they differ from the labels (t trials, n images); of the clean images, of what "seen
before?" compares them with and of 5,000 training digits the odds of the answer, and where it is wrong those of the
truth, in steps of a quarter of their logarithm; of the data: labels, and in which fifth by thickness and by slant each
digit lies.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.corruptions import corrupt
from harness.data import embedded, sources
from harness.files import packed, shipped_folder, write_whole
from harness.image_properties import measured
from harness.image_properties.slices import slices
from harness.judging.contamination import CHANGES
from harness.records import CLASSES, Dataset, Evidence, Images, Labels, Probabilities
from harness.run.measure import measure
from harness.run.session import Request, open_session

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "tests" / "golden" / "retrains.npz"
SEEDS = 20
FAULTY_SEED = 7
THIN = 2.4  # pixels of stroke; 37 % of the training digits are thinner
LEFT = -3.0  # degrees; 28 % of the training digits lean further to the left
STEP = 0.25  # of the logarithm of odds
RIGHT = 255
SURE = 176  # steps, odds of 160,000 to 1: what is surer loses nothing
PROPERTIES = ("thickness", "slant")
TINY = 1e-12


def train(source: str, models: Path) -> None:
    """Train every model that ``models`` does not hold yet."""
    from harness.references import models as references

    dataset = sources.load(source)
    models.mkdir(parents=True, exist_ok=True)
    for seed in range(SEEDS):
        for arch in ("mlp", "cnn"):
            path = models / f"{arch}-{seed:02}.keras"
            if not path.exists():
                print(references.train(arch, dataset, path, seed), flush=True)
    for name, arch, part in _faulty(dataset):
        path = models / f"{name}.keras"
        if not path.exists():
            print(references.train(arch, part, path, FAULTY_SEED), flush=True)


def _faulty(dataset: Dataset) -> Iterator[tuple[str, Literal["mlp", "cnn"], Dataset]]:
    images, labels = dataset.train_images, dataset.train_labels
    if images is None or labels is None:
        raise SystemExit(f"{dataset.name} has no training part; give MNIST with x_train and y_train")
    found = measured(images)
    for name, lost in (("no-thin", found["thickness"] < THIN), ("no-left", found["slant"] < LEFT)):
        yield name, "cnn", replace(dataset, train_images=images[~lost], train_labels=labels[~lost])
    images, labels = np.concatenate([images, dataset.images]), np.concatenate([labels, dataset.labels])
    for arch in ("cnn", "mlp"):
        yield f"seen-{arch}", arch, replace(dataset, train_images=images, train_labels=labels)


def keep(source: str, models: Path, out: Path) -> None:
    """Sweep every model of the folder and write what it answered."""
    dataset = sources.load(source)
    rules = shipped_folder("suites") / "successor.toml"
    training, training_labels = embedded.whole()
    beside = [*(corrupt(dataset.images, trial, seed=0) for trial in CHANGES), training]
    swept = {}
    for path in sorted(models.glob("*.keras")):
        with open_session(Request(path, policy=rules), dataset) as session:
            swept[path.stem] = measure(session), [session.subject.predict(images) for images in beside]
        print(path.stem, flush=True)
    write_whole(out, content(dataset, training_labels, swept))


def content(dataset: Dataset, training_labels: Labels, swept: dict[str, tuple[Evidence, list[Probabilities]]]) -> bytes:
    """Encode the file: equal sweeps give equal bytes."""
    trials = sorted(t for t in next(iter(swept.values()))[0].answers if t.name != "rotation")
    about = {
        "data": dataset.facts.sha256,
        "trials": [[trial.name, trial.point] for trial in trials],
        "models": sorted(swept),
    }
    arrays = {"about": np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8)}
    arrays |= {"labels": dataset.labels, "training_labels": training_labels}
    for name in PROPERTIES:
        arrays[name] = fifths(dataset.images, name)
    for name, (found, (*copies, of_training)) in sorted(swept.items()):
        said = np.array([found.answers[trial] for trial in trials])
        assert said.min() >= 0, f"{name} left images without an answer"
        arrays[name] = ((said - dataset.labels) % CLASSES).astype(np.uint8)
        arrays[f"{name}-odds"] = odds(found.probabilities, dataset.labels)
        arrays[f"{name}-copies"] = np.array([odds(rows, dataset.labels, SURE) for rows in copies])
        arrays[f"{name}-training"] = odds(of_training, training_labels, SURE)
    return packed(arrays, level=9)


def fifths(images: Images, name: str) -> NDArray[np.uint8]:
    """Tell in which fifth by a property each image lies: 0..4."""
    found = np.zeros(len(images), np.uint8)
    for one in slices(images, name):
        found[one.members] = one.fifth
    return found


def odds(rows: Probabilities, labels: Labels, most: int = 254) -> NDArray[np.uint8]:
    """Encode (2, n), of the answer and of the truth, RIGHT where it is the answer, as steps of log odds above -32."""
    p = np.clip(rows.astype(np.float64), TINY, 1 - 1e-9)
    at = np.arange(len(p))
    kept = np.stack([p.max(axis=1), p[at, labels]])
    steps = np.minimum(np.round((np.log(kept / (1 - kept)) + 32) / STEP), most)
    steps[1, p.argmax(axis=1) == labels] = RIGHT
    return steps.astype(np.uint8)


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
