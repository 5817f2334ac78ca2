"""A plan of trials -> Evidence. Images are prepared while the model predicts; finished trials are kept as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.candidate.parent.subject import Subject
from harness.corruptions import corrupt
from harness.corruptions.attacks import ATTACKS
from harness.errors import Refused, SubjectFault, Unattackable
from harness.evidence.storage import Store, drawn
from harness.records import (
    CLASSES,
    CLEAN,
    LIGHT,
    NO_ANSWER,
    AttackAt,
    Classes,
    Dataset,
    Evidence,
    Images,
    Predictions,
    Probabilities,
    Trial,
)

WITH_PROBABILITIES = frozenset({CLEAN, *LIGHT})
BLOCK = 1000  # images; fixed, so that nothing depends on how the work is shared out

Progress: TypeAlias = Callable[[int, int], None]  # images done, images in all
Found: TypeAlias = dict[str, NDArray[Any]]  # of one trial: answers, specimen, and of the clean one probabilities
Part: TypeAlias = tuple[Classes, Probabilities]
Predicted: TypeAlias = Callable[[Sequence[Trial], Progress], Iterator[tuple[Trial, Found]]]
Blocks: TypeAlias = Callable[[Sequence[Trial]], Iterable[Images]]  # every block of every trial, in order


def measure(
    subject: Subject,
    dataset: Dataset,
    trials: Sequence[Trial],
    seed: int,
    store: Store,
    progress: Progress,
    *,
    predicted: Predicted | None = None,
) -> Evidence:
    """Predict every trial that ``store`` does not hold yet. A candidate at fault leaves its trials out, by name.

    ``predicted`` does the work; without it, ``here``: in the subject's own process, on images made for it alone.
    """
    predicted = predicted or predict_locally(subject, dataset, made(dataset, seed))
    kept = {trial: found for trial in trials if (found := store.get(trial)) is not None}
    todo = [trial for trial in trials if trial not in kept]
    fault = ""
    try:
        for trial, found in predicted(todo, progress):
            store.put(trial, found)
            kept[trial] = found
    except (SubjectFault, Refused) as error:
        fault = f"the candidate gave no usable answer: {error}"
    clean = kept.get(CLEAN, {}).get("probabilities", np.zeros((0, CLASSES), np.float32))
    answers = {trial: kept[trial]["answers"] for trial in trials if trial in kept}
    specimens = {trial: kept[trial]["specimen"] for trial in answers}
    evidence = Evidence(
        model=subject.facts(),
        data=dataset.facts,
        images=dataset.images,
        labels=dataset.labels,
        predictions=Predictions(answers, clean, seed, drawn(specimens)),
        specimens=specimens,
        fault=fault,
        sandbox=subject.sandbox(),
        light=_light(kept),
    )
    store.finish(evidence)
    return evidence


def _light(kept: Mapping[Trial, Found]) -> dict[Trial, Probabilities]:
    return {trial: kept[trial]["probabilities"] for trial in LIGHT if "probabilities" in kept.get(trial, {})}


def made(dataset: Dataset, seed: int) -> Blocks:
    """Blocks made for one reader, each when it is asked for."""

    def blocks(trials: Sequence[Trial]) -> Iterator[Images]:
        for trial in trials:
            for start in starts(dataset):
                yield block(dataset.images, trial, seed, start)

    return blocks


def block(images: Images, trial: Trial, seed: int, start: int) -> Images:
    """The images from ``start`` on, at most ``BLOCK``, as the trial makes them."""
    return corrupt(images[start : start + BLOCK], trial, seed=seed, first=start)


def starts(dataset: Dataset) -> range:
    """Where the blocks of a trial begin."""
    return range(0, len(dataset.images), BLOCK)


def classes_of(probabilities: Probabilities) -> Classes:
    """The class of each row; NO_ANSWER where a row holds anything but finite numbers."""
    said: Classes = probabilities.argmax(axis=1).astype(np.int8)
    said[~np.isfinite(probabilities).all(axis=1)] = NO_ANSWER
    return said


def predict_locally(subject: Subject, dataset: Dataset, blocks: Blocks) -> Predicted:
    """Predict with ``subject``, one stream over all trials."""
    n, places = len(dataset.images), starts(dataset)

    def predicted(trials: Sequence[Trial], progress: Progress) -> Iterator[tuple[Trial, Found]]:
        specimens: dict[Trial, Images] = {}
        attacks = [trial for trial in trials if isinstance(trial, AttackAt)]
        total, trials = n * len(trials), [trial for trial in trials if not isinstance(trial, AttackAt)]

        def noted() -> Iterator[Images]:
            for number, images in enumerate(blocks(trials)):
                if number % len(places) == 0:
                    specimens[trials[number // len(places)]] = images[:1].copy()
                yield images

        stream = subject.stream(noted())
        progress(0, total)
        for number, trial in enumerate(trials):
            parts = []
            for start in places:
                parts.append(part(trial, next(stream)))
                progress(number * n + min(start + BLOCK, n), total)
            yield trial, found(trial, parts, specimens.pop(trial))
        for number, trial in enumerate(attacks, len(trials)):
            try:
                yield trial, _attacked(subject, dataset, trial)
            except Unattackable:
                return  # the gates on these trials say that they have no answers, and why
            progress((number + 1) * n, total)

    return predicted


def _attacked(subject: Subject, dataset: Dataset, trial: AttackAt) -> Found:
    """The candidate's process moves the images; its answers to them are asked for as to any others."""
    parts, specimens = [], []
    for start in starts(dataset):
        moved = subject.attacked(dataset.images[start : start + BLOCK], ATTACKS[trial.name], trial.level)
        specimens.append(moved[:1].copy())
        parts.append(part(trial, subject.predict(moved)))
    return found(trial, parts, specimens[0])


def part(trial: Trial, rows: Probabilities) -> Part:
    """What is kept of the answers to one block: probabilities only of the trials that are judged on them."""
    return classes_of(rows), rows if trial in WITH_PROBABILITIES else rows[:0].copy()


def found(trial: Trial, parts: Sequence[Part], specimen: Images) -> Found:
    """What is kept of a trial's answers, from those to its blocks."""
    said, rows = (np.concatenate(each) for each in zip(*parts, strict=True))
    kept: Found = {"answers": said, "specimen": specimen}
    return {**kept, "probabilities": rows} if trial in WITH_PROBABILITIES else kept
