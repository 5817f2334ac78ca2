"""Evidence without training, as benchmarks/successors.py kept it: four plain recipes with many seeds and faults."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.corruptions import trial_at
from harness.files import unpacked
from harness.records import CLASSES, Evidence, Trial
from tests.support import retrains
from tests.support.folders import GOLDEN

FILE = GOLDEN / "successors.npz"


@dataclass(frozen=True)
class Model:
    """How a model was made and what was measured of it."""

    name: str
    recipe: str
    kind: str  # of its fault; "longer"; "": healthy
    half: str  # "set" or "judged"
    wrong: tuple[int, ...]  # images, by trial
    beside: float  # the lower bound that "seen before?" decides on


@cache
def _kept() -> dict[str, NDArray[np.uint8]]:
    return unpacked(FILE.read_bytes())


@cache
def _told(name: str) -> NDArray[np.uint8]:
    """Of every model; what differs from what is usual in its recipe."""
    return np.frombuffer(lzma.decompress(_kept()[name].tobytes()), np.uint8).reshape(len(models()), -1)


def data() -> str:
    """The SHA-256 of the digits."""
    return str(_about()["data"])


@cache
def _about() -> dict[str, Any]:
    about: dict[str, Any] = json.loads(_kept()["about"].tobytes())
    return about


@cache
def models() -> dict[str, Model]:
    return {facts["name"]: Model(**{**facts, "wrong": tuple(facts["wrong"])}) for facts in _about()["models"]}


@cache
def trials() -> tuple[Trial, ...]:
    """The clean one first, as in ``Model.wrong``."""
    return tuple(trial_at(name, *point) for name, point in _about()["trials"])


def healthy(recipe: str, half: str) -> list[str]:
    """Those that differ in their seed alone: candidates, and what pools are drawn from."""
    return _names(lambda one: not one.kind and (one.recipe, one.half) == (recipe, half))


def faulty(half: str) -> list[str]:
    return _names(lambda one: one.kind not in {"", "longer"} and one.half == half)


def longer() -> list[str]:
    return _names(lambda one: one.kind == "longer")


def _names(wanted: Callable[[Model], bool]) -> list[str]:
    return [name for name, one in models().items() if wanted(one)]


@cache
def evidence(name: str) -> Evidence:
    """What this model answered; where only right or wrong was kept, a wrong answer is the digit after the truth."""
    labels, at = retrains.labels(), list(models()).index(name)
    recipe = _about()["recipes"].index(models()[name].recipe)
    wrong = _told("wrong")[at].reshape(len(trials()) - 1, -1) ^ _kept()["usual_wrong"][recipe]
    off = [_told("off")[at], *np.unpackbits(wrong, axis=1, count=len(labels))]
    answers = ((labels + each).astype(np.int8) % CLASSES for each in off)
    odds = _told("odds")[at].reshape(2, -1).copy()
    odds[0] += _kept()["usual_odds"][recipe]
    return retrains.told(name, dict(zip(trials(), answers, strict=True)), odds)
