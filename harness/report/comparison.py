"""Comparison of two runs on the same images: the images that only one of them reads right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from harness.formatting import count
from harness.metrics import display
from harness.records import CLEAN, NO_ANSWER, Evidence, Measurement, Run, Scope
from harness.report import picture
from harness.report.changes import Line, lines
from harness.report.gates import Badge
from harness.report.index import verdict_badge
from harness.report.safe import sentence

Places = NDArray[np.intp]  # of clean images

_MOST = 60  # pictures of a kind
_NUMBERS = 200  # further images that are named by their number


@dataclass(frozen=True)
class Side:
    """A run of the two that are compared."""

    name: str
    sha256: str
    badge: Badge
    cause: Markup


@dataclass(frozen=True)
class Picture:
    """An image with both answers."""

    source: Markup
    alt: str
    said: str
    index: int


@dataclass(frozen=True)
class Gallery:
    """Images of one kind, by their place."""

    pictures: tuple[Picture, ...]
    more: int
    numbers: Markup


@dataclass(frozen=True)
class Page:
    """The page."""

    headline: str
    note: Markup
    before: Side
    after: Side
    newly_wrong: Gallery
    newly_right: Gallery
    lines: tuple[Line, ...]


def comparison(
    before: tuple[Run, Evidence],
    after: tuple[Run, Evidence],
    changes: Sequence[Measurement],
    wrong: Places,
    right: Places,
) -> Page:
    """Build the page from two runs, their differences, ``after`` minus ``before``, and the images that changed."""
    data = after[0].data
    return Page(
        headline=headline(len(wrong), len(right), changes),
        note=sentence(f"{data.name}, {count(data.n, 'image')}, image by image. Intervals are two-sided at 95 %."),
        before=_side(before[0]),
        after=_side(after[0]),
        newly_wrong=_gallery(before[1], after[1], wrong),
        newly_right=_gallery(before[1], after[1], right),
        lines=lines(changes),
    )


def headline(newly_wrong: int, newly_right: int, changes: Sequence[Measurement]) -> str:
    """Write ``12 newly wrong, 30 newly right; accuracy +0.18 pp, 0.05 to +0.31 pp``."""
    text = f"{newly_wrong:,} newly wrong, {newly_right:,} newly right"
    accuracy = next((one for one in changes if one.metric == "accuracy" and one.scope == Scope()), None)
    if accuracy is None:
        return text
    change = display.difference("accuracy", accuracy.value)
    return f"{text}; accuracy {change}, {display.interval(accuracy)}"


def _side(run: Run) -> Side:
    return Side(run.model.name, run.model.sha256[:10], verdict_badge(run), sentence(run.verdict.sentence))


def _gallery(before: Evidence, after: Evidence, indexes: Places) -> Gallery:
    more = indexes[_MOST:]
    numbers = ", ".join(str(at) for at in more[:_NUMBERS]) + (" and more" if len(more) > _NUMBERS else "")
    return Gallery(
        tuple(_picture(before, after, int(at)) for at in indexes[:_MOST]), len(more), sentence(numbers, 2000)
    )


def _picture(before: Evidence, after: Evidence, at: int) -> Picture:
    true = int(after.labels[at])
    was, now = (_said(int(each.answers[CLEAN][at])) for each in (before, after))
    alt = f"image {at}, a {true}: {was} before, {now} after"
    return Picture(picture.address(after.images[at]), alt, f"{was} → {now}", at)


def _said(answer: int) -> str:
    return "none" if answer == NO_ANSWER else str(answer)
