"""Evidence without training, as benchmarks/successors.py kept it: four plain recipes with many seeds and faults."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import policy
from harness.corruptions import trial_at
from harness.evidence import baseline_file
from harness.files import shipped_folder, unpacked
from harness.judging import contamination, verdict
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.records import CLASSES, Evidence, Finding, Gate, Trial, Verdict
from harness.statistics.intervals import exact
from tests.support import retrains
from tests.support.folders import GOLDEN

FILE = GOLDEN / "successors.npz"


@dataclass(frozen=True)
class Model:
    """Recipe of a model and measurements of it."""

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
    """Return, of every model, its differences from what is usual in its recipe."""
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
    """List the models that differ in their seed alone: candidates, and those that pools are drawn from."""
    return _names(lambda one: not one.kind and (one.recipe, one.half) == (recipe, half))


def faulty(half: str) -> list[str]:
    return _names(lambda one: one.kind not in {"", "longer"} and one.half == half)


def longer() -> list[str]:
    return _names(lambda one: one.kind == "longer")


def _names(wanted: Callable[[Model], bool]) -> list[str]:
    return [name for name, one in models().items() if wanted(one)]


@cache
def evidence(name: str) -> Evidence:
    """Return this model's answers; where only right or wrong was kept, a wrong answer is the digit after the truth."""
    labels, at = retrains.labels(), list(models()).index(name)
    recipe = _about()["recipes"].index(models()[name].recipe)
    wrong = _told("wrong")[at].reshape(len(trials()) - 1, -1) ^ _kept()["usual_wrong"][recipe]
    off = [_told("off")[at], *np.unpackbits(wrong, axis=1, count=len(labels))]
    answers = ((labels + each).astype(np.int8) % CLASSES for each in off)
    odds = _told("odds")[at].reshape(2, -1).copy()
    odds[0] += _kept()["usual_odds"][recipe]
    return retrains.by_writer(retrains.told(name, dict(zip(trials(), answers, strict=True)), odds))


def judged(candidate: str, pool: Sequence[str], gates: Sequence[Gate]) -> Verdict:
    """Judge a model beside accepted ones, the first of them the release, as the gates and "seen before?" do."""
    release, *others = (baseline_file.of(evidence(name)) for name in pool)
    baseline = baseline_file.with_pool(release, others)
    findings = judge_all(evaluate(replace(evidence(candidate), baseline=baseline), gates))
    if models()[candidate].beside > contamination.MOST_BESIDE:
        seen = Finding(id="check/surer", kind="check", title="surer", status="inconclusive", reason="seen before?")
        findings = (*findings, seen)
    return verdict.of(findings)


def pools(recipe: str, half: str, runs: int, most: int = 30) -> list[tuple[str, ...]]:
    """Draw a candidate and so many accepted runs from the healthy models of a recipe; every choice, or ``most``."""
    names = healthy(recipe, half)
    every = [
        (candidate, *chosen)
        for candidate in names
        for chosen in combinations([name for name in names if name != candidate], runs)
    ]
    if len(every) <= most:
        return every
    return [every[at] for at in sorted(np.random.default_rng(runs).choice(len(every), most, replace=False))]


def beside_faulty(half: str, runs: int) -> list[tuple[str, ...]]:
    """Draw accepted runs of its recipe for each faulty model."""
    rng = np.random.default_rng(runs)
    return [(name, *rng.permutation(healthy(models()[name].recipe, half))[:runs].tolist()) for name in faulty(half)]


def stopped(candidate: str, pool: Sequence[str], gates: Sequence[Gate]) -> bool:
    return judged(candidate, pool, gates).exit_code > 0


def gates_of(rule: str) -> list[Gate]:
    """List gates of a shipped policy that the kept answers can tell of, without the anchor; or "half a point"."""
    if rule == "half a point":
        return [Gate("half", "accuracy", "at_least", -0.005, "no worse", decide="point", against="baseline")]
    gates = policy.load(shipped_folder("suites") / rule).gates
    told = [gate for gate in gates if gate.metric != "trigger_success"]
    return [gate for gate in told if gate.against != "anchor" and gate.scope.corruption != "rotation"]


def share(counts: Mapping[str, Sequence[bool]]) -> str:
    """Count each, and all but backdoors with an exact 95 % interval."""
    all_ = [found for name, each in counts.items() if name != "backdoor" for found in each]
    low, high = exact(sum(all_), len(all_), 0.975)
    each = ", ".join(f"{name} {sum(found)}/{len(found)}" for name, found in counts.items())
    return f"{sum(all_)}/{len(all_)} = {np.mean(all_):.1%} ({low:.1%} to {high:.1%}; {each})"
