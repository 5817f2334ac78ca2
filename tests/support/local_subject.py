"""A candidate without a process and without Keras: the child's own code, around a function on arrays."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.candidate.child import loading, worker
from harness.candidate.parent.channel import raise_if_raised
from harness.candidate.parent.subject import Subject
from harness.candidate.protocol import wire
from harness.data import sources
from harness.records import Finding, Images, InputContract, InputKind, Layer, ModelFacts, Probabilities
from harness.run.checks import run_checks
from tests.support import samples
from tests.support.faults import preprocessing

Arrays = NDArray[Any]
Shape = tuple[int, ...]
NORMALIZED = (28, 28)


class _Candidate(worker.Candidate):
    def __init__(self, module: str, predict: Callable[[Arrays], Arrays], takes: Shape, gives: Shape) -> None:
        functions: dict[str, Any] = {}
        exec(module, functions)
        self.normalize, self.one_hot = functions["normalize"], functions.get("one_hot")
        self.model = loading.Loaded(
            "Sequential", ((None, *takes),), ((None, *gives),), (), (), 0,
            lambda logs: lambda pixels: SimpleNamespace(numpy=lambda: (np.log if logs else np.array)(predict(pixels))),
        )  # fmt: skip
        self.compiled, self.fault, self._whole = {}, None, None

    def reloaded(self) -> worker.Candidate:
        return self


class LocalSubject(Subject):
    """Takes what the child takes and raises what the parent raises; ``predict`` gets normalised pixels."""

    def __init__(
        self,
        predict: Callable[[Arrays], Arrays] = samples.network_answers,
        *,
        module: str = preprocessing.CORRECT["astype_then_divide"],
        takes: Shape = NORMALIZED,
        gives: Shape = (10,),
        contract: InputContract | None = None,
    ) -> None:
        self._inside = _Candidate(module, predict, takes, gives)
        shapes = (self._inside.model.inputs, self._inside.model.outputs)
        self._facts = ModelFacts("local.keras", "", 0, "Sequential", *shapes, 0, (Layer("a", "A", "", 0),), "module")
        self._facts = replace(self._facts, contract=contract)

    def facts(self) -> ModelFacts:
        assert self._facts is not None
        return self._facts

    def _ask(self, request: wire.Header, *given: Arrays) -> tuple[wire.Header, wire.Arrays]:
        try:
            header, arrays = worker._answer(self._inside, request, given)
        except Exception as error:
            header, arrays = worker._raised(error), []
        raise_if_raised(header)
        return header, tuple(arrays)

    def stream(
        self, blocks: Iterable[Images], *, under: InputKind | None = None, logs: bool = False
    ) -> Generator[Probabilities]:
        for images in blocks:
            if logs:
                _, (rows,) = self._ask(
                    {"op": "predict", "batch": None, "under": under, "fresh": False, "logs": True}, images
                )
                yield rows
            else:
                yield self.predict(images, under=under)


def checked(subject: Subject, rules: Any = None, suite: str = "", **facts: Any) -> tuple[Finding, ...]:
    """Return the findings of the suites, or of one, on some of the embedded digits, which are not looked for in others.

    ``facts``: what else is known of the digits.
    """
    whole = sources.load("embedded")
    some = replace(whole, images=whole.images[:600], labels=whole.labels[:600], train_images=None, train_labels=None)
    some = replace(some, facts=replace(whole.facts, n=600, sha256="of some", **facts))
    rules = SimpleNamespace(lowered={}, waivers={}) if rules is None else rules
    request = SimpleNamespace(own_split=False)
    session: Any = SimpleNamespace(subject=subject, dataset=some, request=request, policy=rules)
    return run_checks(session, suite)
