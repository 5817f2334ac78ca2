"""Galleries of what the model got wrong, one per (true, said), the most confident mistakes first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from harness import formatting
from harness.metrics import display
from harness.records import CLASSES, CLEAN, NO_ANSWER, Evidence, Run
from harness.report import picture
from harness.report.classes import MANY, gallery, mistakes

_FIRST = 12  # suspects that are shown apart


@dataclass(frozen=True)
class Mistake:
    """A mistaken image with its labels."""

    source: Markup
    alt: str
    sure: str
    index: int
    suspect: bool


@dataclass(frozen=True)
class Gallery:
    """The mistakes of one kind."""

    id: str
    title: str
    count: int
    pictures: tuple[Mistake, ...]
    more: int


@dataclass(frozen=True)
class Doubts:
    """Labels in doubt: what is said of them, and the first of them."""

    sentences: tuple[str, ...]
    pictures: tuple[Mistake, ...]
    more: int


@dataclass(frozen=True)
class Galleries:
    """The section with the mistakes."""

    galleries: tuple[Gallery, ...]
    total: int
    displayed: int
    suspects: int  # among those displayed
    doubts: Doubts | None


def galleries(run: Run, evidence: Evidence, each: int, most: int) -> Galleries | None:
    """Show at most ``each`` pictures a kind and ``most`` in all, shared out evenly; the commonest kind first."""
    clean = evidence.answers.get(CLEAN)
    if clean is None:
        return None
    kinds = [(true, said, _of(evidence, true, said)) for true, said in mistakes(run)]
    kinds.sort(key=lambda kind: (-len(kind[2]), kind[0], kind[1]))
    each = _fair([len(indexes) for _, _, indexes in kinds], each, most)
    doubted = frozenset(one.index for one in run.suspects.images) if run.suspects else frozenset()
    shown = tuple(_gallery(evidence, true, said, indexes, each, doubted=doubted) for true, said, indexes in kinds)
    pictures = [one for each_gallery in shown for one in each_gallery.pictures]
    wrong = int((clean != evidence.labels).sum())
    doubts = _doubts(run, evidence, min(each, _FIRST))
    return Galleries(shown, wrong, len(pictures), sum(one.suspect for one in pictures), doubts)


def _doubts(run: Run, evidence: Evidence, most: int) -> Doubts | None:
    if run.suspects is None or not run.suspects.images:
        return None
    images, without = run.suspects.images, run.suspects.without
    rest = f"{formatting.percent(without.value, 1.0)} ({display.interval(without, 1.0)})"
    sentences = [
        f"{formatting.count(len(images), 'label')} in doubt: the model takes the image for another digit, and so do "
        "more of its ten nearest test images than take it for its label. Some labels are wrong, some digits are both.",
        f"Without these images accuracy is {rest}; all are mistakes, so that leaving them out can only raise it.",
    ]
    if run.suspects.turned:
        sentences.append(f"Gates that hang on them: {', '.join(run.suspects.turned[:_FIRST])}.")
    pictures = tuple(
        Mistake(
            picture.example(evidence.images[one.index]),
            f"labelled {one.label}, taken for {one.said} by the model and by {one.neighbours} of 10 neighbours, "
            f"image {one.index}",
            f"{one.label} or {one.said}?",
            one.index,
            suspect=False,
        )
        for one in images[:most]
    )
    return Doubts(tuple(sentences), pictures, len(images) - len(pictures))


def _fair(counts: list[int], each: int, most: int) -> int:
    while each > 0 and sum(min(count, each) for count in counts) > most:
        each -= 1
    return each


def _of(evidence: Evidence, true: int, said: int) -> NDArray[np.intp]:
    answer = said if said < CLASSES else NO_ANSWER
    indexes = np.flatnonzero((evidence.labels == true) & (evidence.answers[CLEAN] == answer))
    return indexes[np.argsort(-_scores(evidence, indexes, said), kind="stable")]


def _scores(evidence: Evidence, indexes: NDArray[np.intp], said: int) -> NDArray[np.float64]:
    if said >= evidence.probabilities.shape[1]:
        return np.zeros(len(indexes))
    scores: NDArray[np.float64] = np.nan_to_num(evidence.probabilities[indexes, said].astype(np.float64), nan=0.0)
    return scores


def _gallery(
    evidence: Evidence, true: int, said: int, indexes: NDArray[np.intp], each: int, *, doubted: frozenset[int]
) -> Gallery:
    kept = indexes[:each]
    scores = _scores(evidence, kept, said)
    pictures = tuple(
        _mistake(evidence, int(i), true, said, float(s), suspect=int(i) in doubted)
        for i, s in zip(kept, scores, strict=True)
    )
    title = f"{MANY[true].capitalize()} " + ("without an answer" if said == CLASSES else f"taken for {said}")
    return Gallery(gallery(true, said), title, len(indexes), pictures, len(indexes) - len(kept))


def _mistake(evidence: Evidence, index: int, true: int, said: int, score: float, *, suspect: bool) -> Mistake:
    if said == CLASSES:
        sure, phrase = "", "no answer"
    elif 0 <= score <= 1:
        sure = formatting.percent(score, digits=0)
        if sure == "100 %" and score < 1:
            sure = "> 99 %"
        phrase = f"said {said}, {sure} sure"
    else:
        sure = formatting.number(score)
        phrase = f"said {said}, score {sure}"
    alt = f"true {true}, {phrase}, image {index}" + (", label suspect" if suspect else "")
    return Mistake(picture.example(evidence.images[index]), alt, sure, index, suspect)
