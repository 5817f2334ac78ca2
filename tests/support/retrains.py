"""Evidence without training, as benchmarks/retrain.py kept it: forty retrained models, and four with a fault."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from harness.corruptions import trial_at
from harness.data.groups import grouped
from harness.evidence import baseline_file
from harness.evidence.storage import drawn
from harness.files import unpacked
from harness.records import (
    CLASSES,
    CLEAN,
    SIDE,
    Classes,
    DataFacts,
    Dataset,
    Evidence,
    Images,
    Labels,
    Layer,
    ModelFacts,
    Predictions,
    Probabilities,
    Trial,
)
from tests.support.folders import GOLDEN

FILE = GOLDEN / "retrains.npz"
STEP, RIGHT = 0.25, 255
SEEDS = range(20)


@cache
def kept() -> dict[str, NDArray[np.uint8]]:
    return unpacked(FILE.read_bytes())


@cache
def trials() -> tuple[Trial, ...]:
    about = json.loads(kept()["about"].tobytes())
    return tuple(trial_at(name, *point) for name, point in about["trials"])


def labels() -> Labels:
    return kept()["labels"]


@cache
def evidence(name: str) -> Evidence:
    """Return this model's answers to MNIST's 10,000 test digits; the digits themselves are stand-ins."""
    said = (kept()[name] + labels()).astype(np.int8) % CLASSES
    answers = dict(zip(trials(), said, strict=True))
    return told(name, answers, kept()[f"{name}-odds"])


def by_writer(evidence: Evidence) -> Evidence:
    """The same evidence, with the writers of MNIST's test digits."""
    digits = Dataset("MNIST", "npz", evidence.images, evidence.labels, None, None, evidence.data)
    known = grouped(digits, None, None, None)
    return replace(evidence, data=known.facts, groups=known.groups)


def told(name: str, answers: Mapping[Trial, Classes], odds: NDArray[np.uint8]) -> Evidence:
    """Make the evidence of a model that gave these answers to the test digits."""
    counts = tuple(np.bincount(labels(), minlength=CLASSES).tolist())
    data = json.loads(kept()["about"].tobytes())["data"]
    probabilities = _probabilities(odds, labels(), answers[CLEAN])
    specimens = dict.fromkeys(answers, stand_ins()[:1])
    return Evidence(
        model=_model(name),
        data=DataFacts("MNIST", "npz", data, len(labels()), 60_000, counts, 0, 0),
        images=stand_ins(),
        labels=labels(),
        predictions=Predictions(answers, probabilities, 2026, drawn(specimens)),
        specimens=specimens,
    )


def beside(name: str) -> tuple[list[Probabilities], Labels, Probabilities]:
    """Return this model's answers to changed copies of the test digits and to 5,000 training digits, with labels."""
    truth = kept()["training_labels"]
    copies = [_probabilities(odds, labels()) for odds in kept()[f"{name}-copies"]]
    return copies, truth, _probabilities(kept()[f"{name}-training"], truth)


def against(candidate: Evidence, last: Evidence) -> Evidence:
    return replace(candidate, baseline=baseline_file.of(last))


@cache
def stand_ins() -> Images:
    """Strokes that lie in the same fifths by thickness and by slant as the digits that they stand for."""
    strokes = np.stack([[_stroke(half, lean) for lean in (-2, -1, 0, 1, 2)] for half in (0, 1, 2, 4, 7)])
    images: Images = strokes[kept()["thickness"], kept()["slant"]]
    images.setflags(write=False)
    return images


def _stroke(half: int, lean: int) -> Images:
    """From below to above, ``2 half + 1`` pixels wide, each row an eighth of ``lean`` further to the right."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    for row in range(4, 24):
        middle = 14 + round(lean * (14 - row) / 8)
        image[row, middle - half : middle + half + 1] = 255
    return image


def _probabilities(odds: NDArray[np.uint8], truth: Labels, said: NDArray[np.int8] | None = None) -> Probabilities:
    """The answer's and the truth's as they were, to an eighth of their log odds; each other's a quarter of the last.

    A quarter because then what a multiplied confidence would have cost comes out as it was:
    tests/statistical/test_retrains.py.
    Without what was ``said``, a wrong answer is the digit after the truth.
    """
    of_said, of_true = 1 / (1 + np.exp(-(odds.astype(np.float64) * STEP - 32)))
    at, wrong = np.arange(len(truth)), odds[1] != RIGHT
    said = ((truth + wrong) % CLASSES).astype(np.int8) if said is None else said
    rows = np.zeros((len(said), CLASSES))
    rows[at, said] = of_said
    rows[wrong, truth[wrong]] = of_true[wrong]
    other = rows == 0
    shares = other * 0.25 ** other.cumsum(axis=1)
    rows += shares / shares.sum(axis=1, keepdims=True) * np.maximum(1 - rows.sum(axis=1, keepdims=True), 0)
    whole: Probabilities = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
    return whole


def _model(name: str) -> ModelFacts:
    return ModelFacts(
        name=f"{name}.keras",
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        size=1,
        kind="Sequential",
        inputs=((None, 28, 28),),
        outputs=((None, 10),),
        parameters=1,
        layers=(Layer("dense", "Dense", "(None, 10)", 1),),
        preprocess="harness.references.preprocessing",
    )
