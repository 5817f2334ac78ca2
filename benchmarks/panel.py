"""Measure the baseline panel: four models on every corruption. ``python benchmarks/panel.py --data mnist.npz``.

Trains k-nearest neighbours, a logistic regression and the reference mlp and cnn on MNIST's 60,000 training digits (the
neighbours on the first 10,000: the search costs as much as there are), has each read the 10,000 test digits under
every corruption and severity, and writes how many are wrong to harness/references/results.json, with the seconds.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import numpy as np

from harness.corruptions import CORRUPTIONS, corrupt
from harness.data import sources
from harness.files import write_whole
from harness.records import CLEAN, SEVERITIES, Classes, Dataset, Images, Severity, Trial
from harness.references.models import Arch
from harness.references.preprocessing import normalize
from harness.references.results import FILE
from harness.run.session import SEED, versions

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "corruptions.txt"
NEIGHBOURS = 10_000  # training digits among which the nearest are looked for
TRAINING_SEED = 0
BLOCK = 500  # images whose distances are held at a time

Reader: TypeAlias = Callable[[Images], Classes]


def k_nearest_neighbours(dataset: Dataset) -> Reader:
    """The digit of two of the three nearest training digits, else of the nearest; Euclidean, pixels 0..1."""
    known, labels = _training(dataset)
    pixels, labels = _flat(known[:NEIGHBOURS]), labels[:NEIGHBOURS]
    squares = (pixels * pixels).sum(axis=1)

    def nearest(images: Images) -> Classes:
        rows, found = np.arange(len(images)), []
        distances = squares - 2 * (_flat(images) @ pixels.T)  # but for what is the same for every training digit
        for _ in range(3):
            at = distances.argmin(axis=1)
            found.append(labels[at])
            distances[rows, at] = np.inf
        first, second, third = found
        said: Classes = np.where(second == third, second, first).astype(np.int8)
        return said

    return lambda images: np.concatenate([nearest(images[at : at + BLOCK]) for at in range(0, len(images), BLOCK)])


def logistic_regression(dataset: Dataset) -> Reader:
    """Ten classes at once, pixels 0..1, ridge penalty C = 0.01: strongly convex, so that it has one solution."""
    from sklearn.linear_model import LogisticRegression

    known, labels = _training(dataset)
    model = LogisticRegression(C=0.01, tol=1e-4, max_iter=1000).fit(_flat(known), labels)
    return lambda images: model.predict(_flat(images)).astype(np.int8)


def mlp(dataset: Dataset) -> Reader:
    """The reference mlp, as ``harness train --arch mlp`` makes it."""
    return _network(dataset, "mlp")


def cnn(dataset: Dataset) -> Reader:
    """The reference cnn, as ``harness train`` makes it."""
    return _network(dataset, "cnn")


MEMBERS = (k_nearest_neighbours, logistic_regression, mlp, cnn)


def _network(dataset: Dataset, arch: Arch) -> Reader:
    from harness.references import models

    import keras  # isort: skip - harness.reference keeps it quiet

    with tempfile.TemporaryDirectory() as folder:
        trained = models.train(arch, dataset, Path(folder) / "model.keras", TRAINING_SEED)
        model = keras.saving.load_model(trained.path, compile=False)

    def read(images: Images) -> Classes:
        rows = model.predict(normalize(images).reshape(-1, *model.input_shape[1:]), batch_size=BLOCK, verbose=0)
        said: Classes = rows.argmax(axis=1).astype(np.int8)
        return said

    return read


def _training(dataset: Dataset) -> tuple[Images, Classes]:
    if dataset.train_images is None or dataset.train_labels is None:
        raise SystemExit(f"{dataset.name} has no training part; give MNIST with x_train and y_train")
    return dataset.train_images, dataset.train_labels.astype(np.int8)


def _flat(images: Images) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return normalize(images).reshape(len(images), -1)


def wrong(dataset: Dataset, readers: Mapping[str, Reader]) -> dict[str, dict[Trial, int]]:
    """How many test digits each reader gets wrong, clean and under every corruption at every severity."""
    trials = [CLEAN, *(Severity(name, severity) for name in sorted(CORRUPTIONS) for severity in SEVERITIES)]
    counts: dict[str, dict[Trial, int]] = {name: {} for name in readers}
    for trial in trials:
        images = corrupt(dataset.images, trial, seed=SEED)
        for name, read in readers.items():
            counts[name][trial] = int((read(images) != dataset.labels).sum())
        print(trial.key, {name: of[trial] for name, of in counts.items()}, flush=True)
    return counts


def corruptions_sha256() -> str:
    """Of the lines of the golden bytes that are of a corruption: when they change, the panel is out of date."""
    lines = GOLDEN.read_text("utf-8").splitlines()
    return sha256("\n".join(line for line in lines if line.partition("@")[0] in CORRUPTIONS).encode()).hexdigest()


def main(source: str, out: Path) -> None:
    """Train, measure, write."""
    began = time.process_time()
    dataset = sources.load(source)
    known, _ = _training(dataset)
    counts = wrong(dataset, {member.__name__: member(dataset) for member in MEMBERS})
    content = {
        "format": 1,
        "recipe": "python benchmarks/panel.py --data mnist.npz",
        "recipe_sha256": sha256(Path(__file__).read_bytes()).hexdigest(),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: of for name, of in versions().items() if name not in ("pytest", "hypothesis")},
        "seed": SEED,
        "training_seed": TRAINING_SEED,
        "corruptions_sha256": corruptions_sha256(),
        "data": "MNIST, 10,000 test digits",
        "data_sha256": dataset.facts.sha256,
        "n": len(dataset.labels),
        "cpu_seconds": round(time.process_time() - began),
        "members": {
            member.__name__: {
                "about": member.__doc__,
                "trained_on": NEIGHBOURS if member is k_nearest_neighbours else len(known),
                "clean": counts[member.__name__][CLEAN],
                "wrong": {
                    name: [counts[member.__name__][Severity(name, severity)] for severity in SEVERITIES]
                    for name in sorted(CORRUPTIONS)
                },
            }
            for member in MEMBERS
        },
    }
    write_whole(out, _lines(content).encode())


def _lines(content: Mapping[str, object]) -> str:
    """JSON with the five numbers of a corruption on one line."""
    text = json.dumps(content, indent=1, ensure_ascii=False)
    return re.sub(r"\[[^\]]*\]", lambda numbers: "".join(numbers[0].split()), text) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="mnist.npz")
    parser.add_argument("--out", type=Path, default=FILE)
    given = parser.parse_args()
    main(given.data, given.out)
