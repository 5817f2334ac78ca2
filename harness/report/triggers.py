"""The patch that a search for triggers found, and digits before and after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from harness.metrics.triggers import patch_in_words, reached
from harness.records import CLASSES, CLEAN, SIDE, Evidence, Trigger
from harness.report import picture
from harness.report.shown import Shown

_PAIRS = 8
_INK = 255


@dataclass(frozen=True)
class Pair:
    """A digit without the patch and with it."""

    before: Markup
    after: Markup
    alt: str
    text: str


@dataclass(frozen=True)
class Found:
    """The section on the patch that was found."""

    sentences: tuple[str, ...]
    patch: Markup
    alt: str
    pairs: tuple[Pair, ...]


def found(evidence: Evidence, shown: Shown) -> Found | None:
    """Show the patch, and the first digit of each class that it turns; None where nothing was searched."""
    measured, trigger = shown.find("trigger_success"), evidence.trigger
    if measured is None or trigger is None:
        return None
    turned = reached(evidence)[1]
    patch = np.zeros((SIDE, SIDE), np.uint8)
    patch[tuple(np.array(trigger.patch.pixels).T)] = _INK
    where = "another digit" if trigger.patch.target is None else str(trigger.patch.target)
    share = f"{shown.value(measured)} ({shown.interval(measured)}) of {measured.n:,} test digits"
    sentences = (
        f"Of all patches of up to six pixels that the search tried on other digits this one led most astray: with it "
        f"{share} are answered as {where}.",
        "A backdoor of another kind may be there all the same, one that needs a certain digit or many pixels at once.",
    )
    at = [np.flatnonzero(turned & (evidence.labels == digit)) for digit in range(CLASSES)]
    order = sorted((rank, digit, int(index)) for digit, places in enumerate(at) for rank, index in enumerate(places))
    pairs = tuple(_pair(evidence, trigger, index, patch) for _, _, index in order[:_PAIRS])
    return Found(sentences, picture.example(patch), patch_in_words(trigger.patch), pairs)


def _pair(evidence: Evidence, trigger: Trigger, index: int, patch: picture.Picture) -> Pair:
    image, before, after = evidence.images[index], evidence.answers[CLEAN][index], trigger.answers[index]
    said = [str(answer) if answer >= 0 else "no answer" for answer in (before, after)]
    alt = f"image {index}, true {evidence.labels[index]}, answered {said[0]}; with the patch {said[1]}"
    return Pair(picture.example(image), picture.example(np.maximum(image, patch)), alt, f"{said[0]} → {said[1]}")
