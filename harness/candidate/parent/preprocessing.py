"""Preprocessing by its name in --preprocess or a policy: a shipped kind, or a module of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from harness.records import InputContract, InputKind, ModelFacts

REFERENCE, CONTRACTS = "harness.references.preprocessing", "harness.references.contracts"
KINDS: dict[str, InputKind] = {kind: kind for kind in get_args(InputKind) if kind != "own"}


@dataclass(frozen=True)
class Preprocessing:
    """The module that normalises images and, where it is of a shipped kind, what that promises."""

    module: str = REFERENCE
    contract: InputContract | None = None  # None: the module itself says it

    def fed(self, model: ModelFacts) -> bool:
        """Tell whether a model was fed so."""
        ours, theirs = self.contract, model.contract
        figures = ours is None or (theirs is not None and (ours.low, ours.high) == (theirs.low, theirs.high))
        kinds = ours is None or (theirs is not None and ours.kind == theirs.kind)
        return model.preprocess == self.module and kinds and figures


def named(name: str, mean: float | None = None, std: float | None = None) -> Preprocessing:
    """Return what a name means: a kind where it is one, else a module; ``./raw`` is the module raw."""
    if name == "unit":
        return Preprocessing()
    if name in KINDS:
        return Preprocessing(CONTRACTS, InputContract.of(KINDS[name], mean, std))
    return Preprocessing(name.removeprefix("./").removesuffix(".py").replace("/", "."))
