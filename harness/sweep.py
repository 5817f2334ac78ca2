"""A plan of trials -> Evidence. Images are prepared while the model predicts; finished trials are kept as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.corruptions import corrupt
from harness.evidence import Store
from harness.records import CLASSES, CLEAN, NO_ANSWER, Classes, Dataset, Evidence, Images, Probabilities, Trial
from harness.subject import Refused, Subject, SubjectFault

BLOCK = 1000  # images; fixed, so that nothing depends on how the work is shared out

Progress: TypeAlias = Callable[[int, int], None]  # images done, images in all


def measure(
    subject: Subject, dataset: Dataset, trials: Sequence[Trial], seed: int, store: Store, progress: Progress
) -> Evidence:
    """Predict every trial that ``store`` does not hold yet. A candidate at fault leaves its trials out, by name."""
    kept = {trial: found for trial in trials if (found := store.get(trial)) is not None}
    todo = [trial for trial in trials if trial not in kept]
    fault = ""
    try:
        for trial, found in _predicted(subject, dataset, todo, seed, progress):
            store.put(trial, found)
            kept[trial] = found
    except (SubjectFault, Refused) as error:
        fault = f"the candidate gave no usable answer: {error}"
    clean = kept.get(CLEAN, {}).get("probabilities", np.zeros((0, CLASSES), np.float32))
    evidence = Evidence(
        model=subject.facts(),
        data=dataset.facts,
        seed=seed,
        images=dataset.images,
        labels=dataset.labels,
        probabilities=clean,
        answers={trial: kept[trial]["answers"] for trial in trials if trial in kept},
        specimens={trial: kept[trial]["specimen"] for trial in trials if trial in kept},
        fault=fault,
        sandbox=subject.sandbox(),
    )
    store.finish(evidence)
    return evidence


def answers(probabilities: Probabilities) -> Classes:
    """The class of each row; NO_ANSWER where a row holds anything but finite numbers."""
    said: Classes = probabilities.argmax(axis=1).astype(np.int8)
    said[~np.isfinite(probabilities).all(axis=1)] = NO_ANSWER
    return said


def _predicted(
    subject: Subject, dataset: Dataset, trials: Sequence[Trial], seed: int, progress: Progress
) -> Iterator[tuple[Trial, dict[str, NDArray[Any]]]]:
    n = len(dataset.images)
    starts = range(0, n, BLOCK)
    specimens: dict[Trial, Images] = {}

    def prepared() -> Iterator[Images]:
        for trial in trials:
            for start in starts:
                block = corrupt(dataset.images[start : start + BLOCK], trial, seed=seed, first=start)
                specimens.setdefault(trial, block[:1].copy())
                yield block

    stream = subject.stream(prepared())
    progress(0, n * len(trials))
    for number, trial in enumerate(trials):
        parts = []
        for start in starts:
            parts.append(next(stream))
            progress(number * n + start + len(parts[-1]), n * len(trials))
        rows = np.concatenate(parts)
        found: dict[str, NDArray[Any]] = {"answers": answers(rows), "specimen": specimens.pop(trial)}
        if trial == CLEAN:
            found["probabilities"] = rows
        yield trial, found
