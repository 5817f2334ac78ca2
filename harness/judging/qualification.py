"""Measures of the faults that a policy stops: search along a ladder, detectable strength, score, matrix and cover."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np

from harness.errors import NotMeasurable
from harness.metrics import METRICS, measure
from harness.records import CLASSES, Evidence, Killed, Ladder, Mutant, MutationScore, Rule, Scope, WouldStop
from harness.statistics.estimates import KEY

LIKELY = 0.8  # chance of being stopped that makes a strength detectable
RESAMPLES = 2_000
SURE = 0.95  # one-sided confidence of the gates that are proposed


def next_rung(chances: Mapping[int, float], rungs: int) -> int | None:
    """Return the rung to judge next in the search for the weakest that is stopped 8 times in 10; None at the end.

    ``chances``: of the rungs judged so far.
    """
    below = max((at for at, chance in chances.items() if chance < LIKELY), default=-1)
    above = min((at for at, chance in chances.items() if chance >= LIKELY and at > below), default=rungs)
    return None if above - below <= 1 else (below + above) // 2


def detectable(places: Sequence[float], chances: Sequence[float]) -> float | None:
    """Return the place on a ladder that is stopped 8 times in 10, between rungs interpolated; None beyond the last.

    Chances are made monotone first (pool adjacent violators).
    """
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression().fit_transform(np.asarray(places, np.float64), np.asarray(chances, np.float64))
    above = np.flatnonzero(fitted >= LIKELY)
    if not len(above):
        return None
    at = int(above[0])
    if at == 0:
        return float(places[0])
    part = (LIKELY - fitted[at - 1]) / (fitted[at] - fitted[at - 1])
    return float(places[at - 1] + part * (places[at] - places[at - 1]))


def shares(strengths: Sequence[float], mutants: Sequence[Mutant]) -> tuple[float | None, ...]:
    """Return of each rung the share of its mutants that is stopped; None where they are equivalent, or no others than
    those of a weaker rung.

    A rung below all that were judged gets the share of the weakest, one above them that of the strongest, and one in
    between that of its weaker neighbour.
    """
    rungs: dict[int, float | None] = {}
    seen: set[str] = set()
    for at, strength in enumerate(strengths):
        here = [one for one in mutants if one.strength == strength and one.status != "crashed"]
        alike, here = bool(here), [one for one in here if not one.digest or one.digest not in seen]
        seen |= {one.digest for one in here}
        counted = [one.status == "stopped" for one in here if one.status != "equivalent"]
        if alike:
            rungs[at] = float(np.mean(counted)) if counted else None
    if not rungs:
        return tuple(None for _ in strengths)
    return tuple(
        rungs[max((before for before in rungs if before <= at), default=min(rungs))] for at in range(len(strengths))
    )


def score(ladders: Sequence[Ladder]) -> MutationScore | None:
    """Compute the share of rungs that are stopped, with an interval from operators drawn anew; None without any.

    The rungs of an operator are no independent cases.
    """
    of_each = [[share for share in one.stopped if share is not None] for one in ladders]
    of_each = [one for one in of_each if one]
    if not of_each:
        return None
    sums, sizes = (np.array([part(one) for one in of_each], np.float64) for part in (sum, len))
    rng = np.random.Generator(np.random.Philox(key=KEY + 4))
    drawn = rng.integers(0, len(sums), (RESAMPLES, len(sums)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), (0.025, 0.975))
    return MutationScore(float(sums.sum() / sizes.sum()), float(low), float(high), int(sizes.sum()), len(sums))


def killed(ladders: Sequence[Ladder], words: Callable[[str, float], str]) -> tuple[Killed, ...]:
    """List by operator what stops its mutants at the weakest rung that is stopped.

    ``words``: a strength of an operator in words.
    """
    kills = []
    for ladder in ladders:
        at = next((s for s in ladder.strengths for one in _stopped(ladder) if one.strength == s), None)
        if at is not None:
            here = [one for one in _stopped(ladder) if one.strength == at]
            by = {name for one in here for name in one.by}
            unasked = set.intersection(*(set(one.not_asked) for one in here))
            said = words(ladder.operator, at)
            kills.append(Killed(ladder.operator, at, said, tuple(sorted(by)), tuple(sorted(unasked))))
    return tuple(kills)


def idle(gates: Sequence[str], ladders: Sequence[Ladder]) -> tuple[str, ...]:
    """Name the gates that stop no mutant that they were asked about."""
    stopping = {name for ladder in ladders for one in _stopped(ladder) for name in one.by}
    return tuple(name for name in gates if name not in stopping)


def never_alone(gates: Sequence[str], ladders: Sequence[Ladder]) -> tuple[str, ...]:
    """Name the gates that stop some mutants, and none that nothing else stops.

    A mutant that some gates were not asked about is stopped by two others, so that these gates are not alone there.
    """
    alone = {one.by[0] for ladder in ladders for one in _stopped(ladder) if len(one.by) == 1}
    without = set(idle(gates, ladders))
    return tuple(name for name in gates if name not in without and name not in alone)


def cover(ladders: Sequence[Ladder]) -> tuple[str, ...]:
    """Choose findings that together stop all that is stopped: each time the one that stops the most of what is left."""
    left = [set(one.by) for ladder in ladders for one in _stopped(ladder)]
    chosen: list[str] = []
    while left:
        names = sorted(set().union(*left))
        best = max(names, key=lambda name: sum(name in one for one in left))
        chosen.append(best)
        left = [one for one in left if best not in one]
    return tuple(chosen)


def reached(runs: Sequence[Evidence]) -> tuple[WouldStop, ...]:
    """List the gates on clean images that all of these runs just pass: the model and its retrainings."""
    gates = []
    for name, metric in METRICS.items():
        for scope in [Scope(digit=digit) for digit in range(CLASSES)] if metric.each_digit else [Scope()]:
            if metric.of not in ("trial", "clean"):
                continue
            with suppress(NotMeasurable):
                bounds = [_bound(run, name, scope, metric.rule) for run in runs]
                least = metric.rule == "at_least"
                threshold = math.floor(min(bounds) * 1000) / 1000 if least else math.ceil(max(bounds) * 1000) / 1000
                gates.append(WouldStop(name, scope, metric.rule, threshold))
    return tuple(gates)


def would_stop(gates: Sequence[WouldStop], mutant: Evidence) -> WouldStop | None:
    """Choose, of gates that the model and its retrainings pass, the one that a mutant misses by the most: in parts of
    the width of its interval. None where it passes them all.
    """
    best, most = None, 0.0
    for gate in gates:
        with suppress(NotMeasurable):
            found = measure(mutant, gate.metric, gate.scope, SURE)
            bound = found.low if gate.rule == "at_least" else found.high
            short = gate.threshold - bound if gate.rule == "at_least" else bound - gate.threshold
            parts = short / max(abs(found.value - bound), 1e-6)
            if math.isfinite(parts) and parts > most:
                best, most = gate, parts
    return best


def _bound(run: Evidence, metric: str, scope: Scope, rule: Rule) -> float:
    found = measure(run, metric, scope, SURE)
    return found.low if rule == "at_least" else found.high


def _stopped(ladder: Ladder) -> list[Mutant]:
    return [one for one in ladder.mutants if one.status == "stopped" and one.by]
