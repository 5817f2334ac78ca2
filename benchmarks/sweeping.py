"""One sweep in a process of its own, whose peak memory is its own, too. ``python sweeping.py MODELS N SETS [alike]``.

Prints JSON: seconds of the sweep with children that have loaded, peak megabytes of this process, of each child and of
the images, and what the start took: until this process was ready, and until the child was. With several models
(comma-separated) they are swept together on the same images.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.candidate.parent.subject import Subject
from harness.corruptions import CORRUPTIONS, prepare
from harness.data import sources
from harness.evidence import storage, sweep
from harness.evidence.shared_batches import SharedBlocks
from harness.records import SEVERITIES, Dataset, Severity, SpacePoint, Trial

SEED = 2026
MNIST_C = tuple(name for name, found in CORRUPTIONS.items() if found.mnist_c)
SETS = tuple(Severity(name, severity) for name in MNIST_C for severity in SEVERITIES)
MORE = tuple(SpacePoint("rotation", (degrees,)) for degrees in range(-45, 46) if degrees)


def dataset(n: int) -> Dataset:
    """Make ``n`` digits: the 5,000 embedded ones, and copies moved by a few pixels, so that few are the same."""
    known = sources.load("embedded")
    assert known.train_images is not None
    assert known.train_labels is not None
    images, labels = (
        np.concatenate(parts)
        for parts in ((known.train_images, known.images), (known.train_labels, known.labels))
    )  # fmt: skip
    whole = np.empty((n, *images.shape[1:]), np.uint8)  # filled in place: the peak is that of the sweep
    for copy, start in enumerate(range(0, n, len(images))):
        part = images[: n - start]
        moved = np.roll(part, (copy % 5 - 2, copy // 5 % 5 - 2), (1, 2)) if copy else part
        whole[start : start + len(part)] = moved
    labels = np.resize(labels, n)
    facts = replace(known.facts, n=n, train_n=0)
    return replace(known, images=whole, labels=labels, train_images=None, train_labels=None, facts=facts)


def plan(sets: int, alike: bool) -> tuple[Trial, ...]:
    """Choose MNIST-C for 75 sets, every fifth of it for 15, rotations on top for more; rotations only if alike."""
    if alike:
        return MORE[:sets]
    return SETS[:: len(SETS) // sets] if sets < len(SETS) else (SETS + MORE)[:sets]


def peak(pid: int | str) -> float:
    """Read the largest resident memory of a process so far, in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def swept(subjects: list[Subject], data: Dataset, trials: tuple[Trial, ...], folder: Path) -> float:
    """Time a sweep of all subjects at once, in seconds."""
    shared = SharedBlocks(data, trials, SEED, len(subjects))

    def one(number: int) -> None:
        subject, store = subjects[number], storage.Store(folder / str(number), "bench")
        predicted = sweep.predict_locally(subject, data, shared.reader(number)) if len(subjects) > 1 else None
        sweep.measure(subject, data, trials, SEED, store, lambda done, total: None, predicted=predicted)

    began = time.perf_counter()
    with ThreadPoolExecutor(len(subjects)) as pool:
        list(pool.map(one, range(len(subjects))))
    return time.perf_counter() - began


def main(models: list[Path], n: int, sets: int, alike: bool) -> None:
    """Start the models, wait for them, sweep and print."""
    began = time.perf_counter()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        subjects = [stack.enter_context(Subject.start(model)) for model in models]
        data, trials = dataset(n), plan(sets, alike)
        prepare({trial.name for trial in trials} & set(CORRUPTIONS))
        ready = time.perf_counter() - began
        for subject in subjects:
            subject.facts()
        loaded = time.perf_counter() - began
        for subject in subjects:
            subject.predict(data.images[:1000])
        first = time.perf_counter() - began
        seconds = swept(subjects, data, trials, Path(folder))
        found = {
            "seconds": seconds,
            "ready": ready,
            "loaded": loaded,
            "first_prediction": first,
            "parent_mb": peak("self"),
            "child_mb": max(peak(subject.pid) for subject in subjects),
            "data_mb": data.images.nbytes / 2**20,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1].split(",")], int(sys.argv[2]), int(sys.argv[3]), "alike" in sys.argv)
