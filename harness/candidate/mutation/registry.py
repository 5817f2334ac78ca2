"""Mutation operators: their records, found by name. A fault is planted with a strength; ``nil`` plants none.

Imports numpy and the standard library only: the candidate's process loads it, too.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import numpy as np

Function: TypeAlias = Callable[..., Any]  # what is changed, strength, seed -> changed, a new one
Found = TypeVar("Found", bound=Function)

FAMILIES = ("labels", "answers", "weights", "pixels", "preprocessing")


class NotMutable(Exception):
    """Raised where a model has nothing that an operator could change: the reason."""


@dataclass(frozen=True)
class Operator:
    """A way of planting a fault, with a ladder of strengths, the weakest first."""

    name: str
    function: Function
    family: str
    ladder: tuple[float, ...]
    nil: float
    said: str  # a strength in words, as a format
    seeds: tuple[int, ...]  # of the mutants of each rung; of a digit's operators the digit
    turns: tuple[int, ...]  # other digits, each at the rung from which the first is stopped
    under: str  # kind of input contract that the images are fed as; empty for the candidate's own
    of_logits: bool  # each of the ten logits becomes a weighted sum of all and a constant; nothing else changes

    def words(self, strength: float) -> str:
        """Write a strength in words: ``"5 % of labels wrong"``."""
        return self.said.format(strength, percent=f"{strength * 100:.3g} %")

    def place(self, strength: float) -> float:
        """Return where a strength lies on the ladder: the distance of its logarithm from that of ``nil`` or, where
        that is 0, of the weakest rung.
        """
        return abs(math.log(strength / (self.nil or self.ladder[0])))

    def at(self, place: float) -> float:
        """Return the strength at a place, the inverse of ``place``."""
        start = self.nil or self.ladder[0]
        return start * math.exp(place if self.ladder[-1] > start else -place)


_operators: dict[str, Operator] = {}
MUTATIONS: Mapping[str, Operator] = MappingProxyType(_operators)


def mutation(
    *ladder: float,
    said: str,
    nil: float = 0.0,
    seeds: tuple[int, ...] = (0,),
    turns: tuple[int, ...] = (),
    under: str = "",
    of_logits: bool = False,
) -> Callable[[Found], Found]:
    """Enter a function into the registry under its own name, in the family of its module."""

    def enter(function: Found) -> Found:
        name, family = function.__name__, function.__module__.rpartition(".")[2]
        _operators[name] = Operator(name, function, family, ladder, nil, said, seeds, turns, under, of_logits)
        return function

    return enter


def closest(name: str) -> str:
    """Return the operator whose name is most like this one; empty where none is."""
    return next(iter(difflib.get_close_matches(name.lower().replace("-", "_"), MUTATIONS, n=1)), "")


def rng_of(name: str, seed: int) -> np.random.Generator:
    """Return the draws of an operator under a seed: the same at every strength, so that a ladder is of one fault."""
    key = blake2b(f"{name}\n{seed}".encode(), digest_size=8).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
