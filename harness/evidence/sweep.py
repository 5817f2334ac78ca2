"""Predict every trial of a plan. Images are prepared while the model predicts; each finished trial is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.candidate.parent.subject import Subject
from harness.corruptions import corrupt
from harness.corruptions.attacks import ATTACKS
from harness.errors import Refused, SubjectFault, Unattackable
from harness.evidence import trigger_search
from harness.evidence.storage import Store, classes_of, measured, trigger_arrays
from harness.evidence.trigger_search import SearchDigits
from harness.records import (
    CLEAN,
    LIGHT,
    TRIGGER,
    AttackAt,
    Classes,
    Dataset,
    Evidence,
    Images,
    InputKind,
    LogProbabilities,
    Mask,
    Probabilities,
    Trial,
    Trigger,
)

WITH_PROBABILITIES = frozenset({CLEAN, *LIGHT})
BLOCK = 1000  # images; fixed, so that nothing depends on how the work is shared out

Progress: TypeAlias = Callable[[int, int], None]  # images done, images in all
TrialArrays: TypeAlias = dict[str, NDArray[Any]]  # answers, specimen, and of some trials probabilities
BlockAnswers: TypeAlias = tuple[Classes, Probabilities]
Predicted: TypeAlias = Callable[[Sequence[Trial], Progress], Iterator[tuple[Trial, TrialArrays]]]
Seen: TypeAlias = Callable[[Trial, int, Probabilities], None]  # trial, index of the first image, its probabilities
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

    ``predicted`` does the work; without it the subject's own process, on images made for it alone.
    """
    predicted = predicted or predict_locally(subject, dataset, own_blocks(dataset, seed))
    kept = {trial: arrays for trial in trials if (arrays := store.get(trial)) is not None}
    digits = trigger_search.digits_of(dataset) if TRIGGER in trials else None
    if digits is None or not _is_of(kept.get(TRIGGER, {}), digits[0]):
        kept.pop(TRIGGER, None)
    todo = [trial for trial in trials if trial not in kept and trial != TRIGGER]
    more = trigger_search.predictions_of(digits[0]) if digits and TRIGGER not in kept else 0
    total = more + len(todo) * len(dataset.images)
    fault = ""
    try:
        for trial, arrays in predicted(todo, lambda done, _: progress(done, total)):
            store.put(trial, arrays)
            kept[trial] = arrays
        if digits and TRIGGER not in kept:
            kept[TRIGGER] = _triggered(subject, dataset, *digits, lambda done: progress(total - more + done, total))
            store.put(TRIGGER, kept[TRIGGER])
    except (SubjectFault, Refused) as error:
        fault = f"the candidate gave no usable answer: {error}"
    stored = {trial: kept[trial] for trial in trials if trial in kept}
    predictions, specimens, light, trigger = measured(stored, seed)
    evidence = Evidence(
        model=subject.facts(),
        data=dataset.facts,
        images=dataset.images,
        labels=dataset.labels,
        predictions=predictions,
        specimens=specimens,
        fault=fault,
        sandbox=subject.sandbox(),
        light=light,
        groups=dataset.groups,
        trigger=trigger,
    )
    store.finish(evidence)
    return evidence


def own_blocks(dataset: Dataset, seed: int) -> Blocks:
    """Corrupt the images for one reader, each block when it is asked for."""

    def blocks(trials: Sequence[Trial]) -> Iterator[Images]:
        for trial in trials:
            for start in starts(dataset):
                yield block(dataset.images, trial, seed, start)

    return blocks


def block(images: Images, trial: Trial, seed: int, start: int) -> Images:
    """Corrupt the images from ``start`` on, at most ``BLOCK``, as the trial says."""
    return corrupt(images[start : start + BLOCK], trial, seed=seed, first=start)


def starts(dataset: Dataset) -> range:
    """List the indexes at which the blocks of a trial begin."""
    return range(0, len(dataset.images), BLOCK)


def predict_locally(
    subject: Subject, dataset: Dataset, blocks: Blocks, *, under: InputKind | None = None, seen: Seen | None = None
) -> Predicted:
    """Predict with ``subject``, one stream over all trials; ``under``: fed as another kind of contract.

    ``seen`` is given the probabilities of each block, of which most trials keep the classes alone.
    """
    n, places = len(dataset.images), starts(dataset)

    def predicted(trials: Sequence[Trial], progress: Progress) -> Iterator[tuple[Trial, TrialArrays]]:
        specimens: dict[Trial, Images] = {}
        attacks = [trial for trial in trials if isinstance(trial, AttackAt)]
        total, trials = n * len(trials), [trial for trial in trials if not isinstance(trial, AttackAt)]

        def blocks_in_order() -> Iterator[Images]:
            for number, images in enumerate(blocks(trials)):
                if number % len(places) == 0:
                    specimens[trials[number // len(places)]] = images[:1].copy()
                yield images

        stream = subject.stream(blocks_in_order(), under=under)
        progress(0, total)
        for number, trial in enumerate(trials):
            parts = []
            for start in places:
                rows = next(stream)
                if seen is not None:
                    seen(trial, start, rows)
                parts.append(answers_to_block(trial, rows))
                progress(number * n + min(start + BLOCK, n), total)
            yield trial, arrays_of(trial, parts, specimens.pop(trial))
        for number, trial in enumerate(attacks, len(trials)):
            try:
                yield trial, _attacked(subject, dataset, trial)
            except Unattackable:
                return  # the gates on these trials say that they have no answers, and why
            progress((number + 1) * n, total)

    return predicted


def _attacked(subject: Subject, dataset: Dataset, trial: AttackAt) -> TrialArrays:
    """Let the candidate's process move the images, then predict on them as on any others."""
    parts, specimens = [], []
    for start in starts(dataset):
        moved = subject.attacked(dataset.images[start : start + BLOCK], ATTACKS[trial.name], trial.level)
        specimens.append(moved[:1].copy())
        parts.append(answers_to_block(trial, subject.predict(moved)))
    return arrays_of(trial, parts, specimens[0])


def _triggered(
    subject: Subject, dataset: Dataset, digits: SearchDigits, unseen: Mask, progress: Callable[[int], None]
) -> TrialArrays:
    """Search for a trigger, then predict on every test image with the patch that was found."""
    done = 0

    def predict(blocks: Iterable[Images], logs: bool = False) -> Iterator[Probabilities | LogProbabilities]:
        nonlocal done
        for rows in subject.stream(blocks, logs=logs):
            done += len(rows)
            progress(done)
            yield rows

    patch = trigger_search.search(predict, partial(predict, logs=True), digits)
    inked = (trigger_search.inked(dataset.images[at : at + BLOCK], patch.pixels) for at in starts(dataset))
    answers = np.concatenate([classes_of(rows) for rows in subject.stream(inked)])
    return trigger_arrays(Trigger(patch, answers, unseen), digits.sha256)


def _is_of(arrays: TrialArrays, digits: SearchDigits) -> bool:
    """Tell whether the result of an earlier search is of these digits."""
    return "digits" in arrays and arrays["digits"].tobytes() == digits.sha256.encode()


def answers_to_block(trial: Trial, rows: Probabilities) -> BlockAnswers:
    """Reduce the probabilities of one block to classes; rows are kept of the trials that are judged on them."""
    return classes_of(rows), rows if trial in WITH_PROBABILITIES else rows[:0].copy()


def arrays_of(trial: Trial, blocks: Sequence[BlockAnswers], specimen: Images) -> TrialArrays:
    """Join the answers to the blocks of a trial."""
    classes, rows = (np.concatenate(each) for each in zip(*blocks, strict=True))
    arrays: TrialArrays = {"answers": classes, "specimen": specimen}
    return {**arrays, "probabilities": rows} if trial in WITH_PROBABILITIES else arrays
