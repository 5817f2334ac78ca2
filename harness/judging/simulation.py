"""Simulation of other test sets of the same kind: the whole policy on resampled images of this model.

A test set is drawn anew from the images (Efron & Tibshirani 1993), for all gates the same one, so that gates that
stand and fall together do so here. Shares are counted anew and held against the exact rule; a number without a formula
is moved by its own bootstrap, with the width that it has, apart from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.judging.gates import has_too_few_units, is_corrected
from harness.metrics import Evaluation, find
from harness.metrics.registry import Columns, parts_of
from harness.records import Codes, Evidence, Gate, Power
from harness.statistics.estimates import KEY, Estimate, F1Share, Resampled, Share, WorstOf, share_of_f1
from harness.statistics.grouping import Effect
from harness.statistics.intervals import paired_scores
from harness.statistics.paired import PairedMean, Pairs, WorstPairs

TEST_SETS = 2_000
_BLOCK = 20  # test sets drawn at a time
KNOWN = (Share, F1Share, WorstOf, Resampled, Pairs, PairedMean, WorstPairs)  # of other estimates nothing is said

Answers: TypeAlias = NDArray[np.bool_]  # (test sets,)
P: TypeAlias = NDArray[np.float64]  # (test sets,)
Sets: TypeAlias = NDArray[np.intp]  # places of the test sets to judge, 0..TEST_SETS - 1


@dataclass(frozen=True)
class Judged:
    """Results of a gate on test sets, before the correction for other gates."""

    passed: Answers
    p_value: Callable[[], P]  # computed where it is asked for


Judge: TypeAlias = Callable[[Sets], Judged]


def simulate(power: Power, evaluation: Evaluation) -> Power:
    """Add to ``power`` the chances of a model like this one; gates without an estimate are left out."""
    gates = _simulated(evaluation)
    if not gates:
        return power
    everything = np.arange(TEST_SETS)
    passed, failed = _decided(gates, [judge(everything) for judge in _judges(evaluation, gates)])
    few = [has_too_few_units(evaluation.estimates[gate.id]) for gate in gates]  # these are not evaluated
    passed[few], failed[few] = False, False
    chances = {
        gate.id: (1 - float(p.mean()), float(f.mean())) for gate, p, f in zip(gates, passed, failed, strict=True)
    }
    each = tuple(
        replace(one, stopped=chances[one.id][0], failed=chances[one.id][1]) if one.id in chances else one
        for one in power.gates
    )
    required = np.array([_stops(gate) for gate in gates])
    if not required.any():
        return replace(power, gates=each)
    blocked = failed[required].any(axis=0)
    released = passed[required].all(axis=0)
    return replace(
        power,
        gates=each,
        released=float(released.mean()),
        undecided=float((~blocked & ~released).mean()),
        blocked=float(blocked.mean()),
    )


def released(evaluation: Evaluation) -> float | None:
    """Compute the chance of a release alone, the same as ``simulate``; None where no required gate can tell.

    A test set that a gate stops is judged by no other gate, unless gates stand until they are refuted together.
    """
    gates = _simulated(evaluation)
    if any(gate.decide == "not-disproven" for gate in gates):
        return simulate(Power((), 0, None), evaluation).released
    left = np.arange(TEST_SETS)
    judged = [(gate, judge) for gate, judge in zip(gates, _judges(evaluation, gates), strict=True) if _stops(gate)]
    for gate, judge in judged:
        left = left[judge(left).passed & (not has_too_few_units(evaluation.estimates[gate.id]))]
    return len(left) / TEST_SETS if judged else None


def _stops(gate: Gate) -> bool:
    return gate.level == "required"


def _simulated(evaluation: Evaluation) -> list[Gate]:
    """Return the gates whose estimates can be drawn anew; none where there are no images."""
    estimates = evaluation.estimates if len(evaluation.evidence.labels) else {}
    return [gate for gate in evaluation.gates if isinstance(estimates.get(gate.id), KNOWN)]


def _decided(gates: Sequence[Gate], judged: Sequence[Judged]) -> tuple[Columns, Columns]:
    """Mark, (gates, test sets), which passed and which failed, as ``gates.judge_all`` decides."""
    alpha = np.array([[1 - gate.confidence] for gate in gates])
    p_values = np.stack([one.p_value() for one in judged])
    adjusted = p_values.copy()
    for guards in (False, True):
        family = np.array([is_corrected(gate) and (gate.kind == "guard") == guards for gate in gates])
        adjusted[family] = _holm(p_values[family])
    failed = adjusted <= alpha
    passed = np.stack([one.passed for one in judged])
    for at, gate in enumerate(gates):
        if gate.decide == "not-disproven":
            passed[at] = ~failed[at]
        if gate.decide == "point":
            failed[at] = ~passed[at]
    return passed, failed & ~passed


def _holm(p_values: P) -> P:
    """Adjusted over the first axis. Holm 1979."""
    order = p_values.argsort(axis=0)
    ranks = np.arange(len(p_values))[:, None]
    running = np.maximum.accumulate((len(p_values) - ranks) * np.take_along_axis(p_values, order, axis=0), axis=0)
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, running, axis=0)
    return adjusted


def _judges(evaluation: Evaluation, gates: Sequence[Gate]) -> list[Judge]:
    """Draw the test sets; return of each gate the function that judges those asked for."""
    evidence, estimates = evaluation.evidence, evaluation.estimates
    parts = {gate.id: _parts(evidence, gate, estimates[gate.id]) for gate in gates}
    columns = {name: part for name, part in parts.items() if part}
    counted = _counted(columns, evidence.codes)
    rng = np.random.Generator(np.random.Philox(key=KEY + 2))
    judges: list[Judge] = []
    for gate in gates:
        estimate = estimates[gate.id]
        effects = [part.effect for part in parts_of(estimate)]
        if gate.id in counted:
            judges.append(partial(_of_pairs if gate.against else _of_shares, gate, effects, counted[gate.id]))
            continue
        each = estimate.each if isinstance(estimate, WorstPairs) else [estimate]
        means = [one for one in each if isinstance(one, PairedMean)]
        if means:
            judges.append(partial(_of_means, gate, means, rng.standard_normal((TEST_SETS, len(means)))))
        elif isinstance(estimate, Resampled):
            judges.append(partial(_of_draws, gate, estimate, rng.permutation(len(estimate.lows))[:TEST_SETS]))
        else:
            judges.append(partial(_of_pairs if gate.against else _of_shares, gate, effects, _drawn(estimate, rng)))
    return judges


def _drawn(found: Estimate, rng: np.random.Generator) -> tuple[P, ...]:
    """Draw the parts from the shares alone, where it is not known here which images they are of."""
    if isinstance(found, Pairs | WorstPairs):
        pairs = [one for one in ([found] if isinstance(found, Pairs) else found.each) if isinstance(one, Pairs)]
        chances = [(one.fixed / one.n, one.broken / one.n, 1 - (one.fixed + one.broken) / one.n) for one in pairs]
        cells = [rng.multinomial(one.n, chance, TEST_SETS) for one, chance in zip(pairs, chances, strict=True)]
        fixed, broken = (np.stack([cell[:, part] for cell in cells], axis=1).astype(np.float64) for part in (0, 1))
        return fixed, broken, np.tile([float(one.n) for one in pairs], (TEST_SETS, 1))
    assert isinstance(found, Share | F1Share | WorstOf)
    shares = found.shares if isinstance(found, WorstOf) else [found.share if isinstance(found, F1Share) else found]
    n = np.array([one.n for one in shares])
    hits = rng.binomial(n, [one.value for one in shares], (TEST_SETS, len(n))).astype(np.float64)
    return hits, np.tile(n.astype(np.float64), (TEST_SETS, 1))


def _parts(evidence: Evidence, gate: Gate, estimate: Estimate) -> tuple[Columns, ...]:
    """Mark what is counted of a gate: hits, images; or what only the candidate, only the baseline has right, images."""
    columns = find(gate.metric).columns
    if columns is None:
        return ()
    if not gate.against:
        return columns(evidence, gate.scope) or ()
    if evidence.baseline is None or not isinstance(estimate, Pairs | WorstPairs):
        return ()
    last = replace(evidence, predictions=evidence.baseline.predictions)
    ours, theirs = columns(evidence, gate.scope), columns(last, gate.scope)
    if ours is None or theirs is None:
        return ()
    return ours[0] & ~theirs[0], theirs[0] & ~ours[0], ours[1]


def _counted(columns: Mapping[str, tuple[Columns, ...]], codes: Codes | None) -> dict[str, tuple[P, ...]]:
    """Count the images of each column in every test set: (test sets, shares) for each part, by gate."""
    if not columns:
        return {}
    wide = np.concatenate([part for parts in columns.values() for part in parts], axis=1)
    packed = np.ascontiguousarray(np.packbits(wide, axis=0).T)
    _, first, alike = np.unique(packed.view(f"V{packed.shape[1]}"), return_index=True, return_inverse=True)
    drawn = _in_test_sets(wide[:, first]) if codes is None else _in_sets_of_units(wide[:, first], codes)
    whole = drawn[:, alike.reshape(-1)]
    counted, at = {}, 0
    for name, parts in columns.items():
        ends = at + np.cumsum([part.shape[1] for part in parts])
        counted[name] = tuple(whole[:, end - part.shape[1] : end] for end, part in zip(ends, parts, strict=True))
        at = int(ends[-1])
    return counted


def _in_test_sets(columns: Columns) -> NDArray[np.float64]:
    """Count, (test sets, columns), among images drawn with replacement, as many as there are."""
    n, marks = len(columns), columns.astype(np.float32)  # exact up to 2^24 images
    rng = np.random.Generator(np.random.Philox(key=KEY + 3))
    blocks = []
    for start in range(0, TEST_SETS, _BLOCK):
        sets = min(_BLOCK, TEST_SETS - start)
        drawn = rng.integers(0, n, (sets, n), dtype=np.uint32) + np.arange(sets)[:, None] * n
        times = np.bincount(drawn.reshape(-1), minlength=sets * n).reshape(sets, n)
        blocks.append(times.astype(np.float32) @ marks)
    return np.concatenate(blocks).astype(np.float64)


def _in_sets_of_units(columns: Columns, codes: Codes) -> NDArray[np.float64]:
    """Count, (test sets, columns), among the images of units drawn with replacement, as many as there are."""
    _, place = np.unique(codes, return_inverse=True)
    units = int(place.max()) + 1
    sums = np.stack([np.bincount(place, column, units) for column in columns.T], axis=1)  # (units, columns)
    rng = np.random.Generator(np.random.Philox(key=KEY + 3))
    return rng.multinomial(units, np.full(units, 1 / units), TEST_SETS).astype(np.float64) @ sums.astype(np.float64)


def _levels(effects: Sequence[Effect | None], confidence: float) -> P:
    """Return the one-sided error level of each share's bound."""
    return np.array([1 - confidence if effect is None else effect.level(1 - confidence) for effect in effects])


def _designs(effects: Sequence[Effect | None]) -> P:
    return np.array([effect.design if effect else 1.0 for effect in effects])


def _raised(p_values: P, effects: Sequence[Effect | None]) -> P:
    """Raise p-values (test sets, shares) for the units of each share."""
    if not any(effects):
        return p_values
    columns = [p if effect is None else effect.raised(p) for p, effect in zip(p_values.T, effects, strict=True)]
    return np.stack(columns, axis=1)


def _of_pairs(gate: Gate, effects: Sequence[Effect | None], drawn: tuple[P, ...], sets: Sets) -> Judged:
    """Judge one paired difference, or the worst of several, by its score. After Tango 1998."""
    from scipy.special import ndtr, ndtri

    fixed, broken, among = (part[sets] for part in drawn)
    scores = paired_scores(broken, fixed, among, gate.threshold) / np.sqrt(_designs(effects))
    proven: Answers = np.all(scores >= -ndtri(_levels(effects, gate.confidence)), axis=1)
    holds: Answers = np.all(fixed - broken >= gate.threshold * among - 1e-9, axis=1)
    return Judged(
        holds if gate.decide == "point" else proven,
        lambda: np.minimum(1.0, scores.shape[1] * _raised(ndtr(scores), effects).min(axis=1)),
    )


def _of_shares(gate: Gate, effects: Sequence[Effect | None], drawn: tuple[P, ...], sets: Sets) -> Judged:
    """Judge one share, or the worst of several: to pass, each must; to fail, one suffices at its price (Bonferroni)."""
    from scipy.special import betainc, betaincc

    hits, among = (part[sets] for part in drawn)
    exact = find(gate.metric).exact
    wanted = share_of_f1(gate.threshold) if exact is not None and exact.jaccard else gate.threshold
    if gate.rule == "at_most":
        hits, wanted = among - hits, 1 - wanted
    most, designs = float(among.max(initial=0)) + 1, _designs(effects)
    kinds, kind = np.unique(designs, return_inverse=True)
    pairs, place = np.unique((hits * most + among) * len(kinds) + kind, return_inverse=True)
    counts, which = np.divmod(pairs, len(kinds))  # the same few counts come again and again
    hit, n = (part / kinds[which.astype(np.intp)] for part in np.divmod(counts, most))
    with np.errstate(invalid="ignore"):
        above: P = np.where(hit > 0, betainc(hit, n - hit + 1, wanted), 1.0)[place].reshape(hits.shape)
    proven: Answers = np.all(above <= _levels(effects, gate.confidence), axis=1)
    holds: Answers = np.all(hits >= wanted * among - 1e-9, axis=1)

    def p_value() -> P:
        with np.errstate(invalid="ignore"):
            below: P = np.where(hit < n, betaincc(hit + 1, n - hit, wanted), 1.0)[place].reshape(hits.shape)
        least: P = np.minimum(1.0, below.shape[1] * _raised(below, effects).min(axis=1))
        return least

    return Judged(holds if gate.decide == "point" else proven, p_value)


def _of_means(gate: Gate, means: Sequence[PairedMean], normal: P, sets: Sets) -> Judged:
    """Judge one difference from several models, or the worst of several differences, by its normal curve."""
    from scipy.special import ndtr, ndtri

    effects = [one.effect for one in means]
    errors = np.array([one.error for one in means]) * np.sqrt(_designs(effects))
    moved = np.array([one.value for one in means]) + errors * normal[sets]
    side = 1 if gate.rule == "at_least" else -1
    scores = side * (moved - gate.threshold) / errors
    proven: Answers = np.all(scores >= -ndtri(_levels(effects, gate.confidence)), axis=1)
    holds: Answers = np.all(scores >= 0, axis=1)
    return Judged(
        holds if gate.decide == "point" else proven,
        lambda: np.minimum(1.0, len(means) * _raised(ndtr(scores), effects).min(axis=1)),
    )


def _of_draws(gate: Gate, estimate: Resampled, chosen: NDArray[np.intp], sets: Sets) -> Judged:
    """Move the value as the bootstrap's draws do; its bounds move with it, and widen as the root of what is lost."""
    from scipy.special import ndtr

    (low, high), _ = estimate.bounds(gate.confidence)
    side = 1 if gate.rule == "at_least" else -1
    draws, bound = (estimate.highs, low) if side > 0 else (estimate.lows, high)
    if estimate.effect:
        draws = estimate.value + (draws - estimate.value) * estimate.effect.width
    middle, spread = float(draws.mean()), float(draws.std())
    moved = np.resize(draws[chosen], TEST_SETS)[sets] - middle
    lost = 0.0 if gate.against else 1 - estimate.value if side > 0 else estimate.value
    wider = np.sqrt(np.maximum(lost - side * moved, 1e-12) / lost) if lost > 0 else np.ones(len(sets))
    holds = side * (estimate.value + moved - gate.threshold) >= 0
    proven = side * (estimate.value + moved + (bound - estimate.value) * wider - gate.threshold) >= 0
    place = middle + (gate.threshold - middle - moved) / wider  # of the threshold among draws that stay where they are

    def p_value() -> P:
        met = len(draws) - np.searchsorted(np.sort(side * draws), side * place, side="left")
        p = (1 + met) / (1 + len(draws))
        if spread:
            p = np.where(met == 0, np.minimum(p, ndtr(-abs(place - middle) / spread)), p)
        raised: P = estimate.effect.raised(p) if estimate.effect else p
        return raised

    return Judged(holds if gate.decide == "point" else proven, p_value)
