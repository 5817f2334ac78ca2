"""Power of a gate: the smallest miss that it detects, the smallest value that passes, and its error rates.

Before any model is there, the policy and the number of images say it; ``simulation`` adds how a model like the one at
hand would do on other images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist

from harness.judging.gates import has_too_few_units, is_corrected
from harness.metrics import Evaluation, find
from harness.metrics.comparable import MeanOverImages
from harness.records import DataFacts, Gate, GatePower, Power
from harness.statistics.estimates import Estimate, F1Share, Resampled, Share, WorstOf, f1_of_share, share_of_f1
from harness.statistics.grouping import FEWEST, Effect
from harness.statistics.intervals import minimal_detectable_effect, minimal_passing_share, size_at_threshold
from harness.statistics.paired import PairedMean, Pairs, WorstPairs

FEWEST_UNITS = FEWEST  # in effect, under which a gate is not evaluated
LIKELY = 0.8  # the probability that counts as "would"
ALIKE, ALIKE_PAIRS = 0.02, 0.003  # correlation of mistakes, and of flips, of one writer; as MNIST's models have it
FLIPS = 0.006  # share of clean images that two trainings of the reference cnn on MNIST answer differently right


def before(gates: Sequence[Gate], data: DataFacts) -> Power:
    """Compute what a policy can tell of any model on these digits."""
    estimates = {gate.id: _sized(gate, data) for gate in gates}
    return _of(gates, {name: found for name, found in estimates.items() if found is not None})


def of(evaluation: Evaluation) -> Power:
    """Compute what each gate can tell, from how many images its estimate is of."""
    return _of(evaluation.gates, evaluation.estimates)


def _of(gates: Sequence[Gate], estimates: Mapping[str, Estimate]) -> Power:
    guards = sum(is_corrected(gate) and gate.kind == "guard" for gate in gates)
    family = sum(map(is_corrected, gates)) - guards
    of_gate = (guards if gate.kind == "guard" else family for gate in gates)
    each = tuple(_of_gate(gate, estimates.get(gate.id), size) for gate, size in zip(gates, of_gate, strict=True))
    required = {gate.id for gate in gates if gate.level == "required"}
    sizes = [one.at_threshold for one in each if one.id in required and one.at_threshold is not None]
    return Power(each, family, max(sizes, default=None), guards=guards)


def _of_gate(gate: Gate, estimate: Estimate | None, family: int) -> GatePower:
    if estimate is None:
        return GatePower(gate.id, 0)
    if has_too_few_units(estimate):
        return GatePower(gate.id, estimate.n)
    alone = 1 - gate.confidence
    sure = 1 - alone / (family if is_corrected(gate) else 1)
    power = GatePower(gate.id, estimate.n)
    if isinstance(estimate, Resampled):
        return _of_spread(power, gate, float(estimate.lows.std()) * _width(estimate), sure)
    if isinstance(estimate, WorstPairs):
        return _of_spread(power, gate, _spread(estimate.worst), 1 - (1 - sure) / len(estimate.each))
    if isinstance(estimate, Pairs | PairedMean):
        return _of_spread(power, gate, _spread(estimate), sure)
    if not isinstance(estimate, Share | F1Share | WorstOf):
        return power
    effect, among = estimate.effect, len(estimate.shares) if isinstance(estimate, WorstOf) else 1
    n = estimate.n if effect is None else max(1, int(effect.images))
    confidence = gate.confidence if effect is None else 1 - effect.level(alone)
    fail = (1 - sure) / among
    of_f1 = isinstance(estimate, F1Share)
    wanted = share_of_f1(gate.threshold) if of_f1 else gate.threshold
    wanted = wanted if gate.rule == "at_least" else 1 - wanted
    fails = minimal_detectable_effect(n, wanted, 1 - (fail if effect is None else effect.level(fail)), LIKELY)
    passes = minimal_passing_share(n, wanted, confidence, LIKELY)

    at_threshold = size_at_threshold(n, wanted, gate.confidence) if effect is None else round(alone, 12)

    def distance(share: float | None) -> float | None:
        if share is None:
            return None
        return abs(f1_of_share(share) - gate.threshold) if of_f1 else abs(share - wanted)

    return replace(
        power,
        detectable_below=None if fails is None else distance(wanted - fails),
        images=None if fails is None else math.ceil(fails * estimate.n),
        detectable_above=distance(passes),
        at_threshold=at_threshold if gate.decide == "proven" else None,
    )


def _spread(pairs: Pairs | PairedMean) -> float:
    """Compute the standard error of a paired difference near 0; as if one image differed where none does."""
    alone = pairs.error if isinstance(pairs, PairedMean) else math.sqrt(max(1, pairs.broken + pairs.fixed)) / pairs.n
    return alone * _width(pairs)


def _width(estimate: Estimate) -> float:
    return estimate.effect.width if estimate.effect else 1.0


def _of_spread(power: GatePower, gate: Gate, spread: float, sure: float) -> GatePower:
    """Compute the power of a number without an exact formula, by a normal curve as wide as its draws or its pairs."""
    normal = NormalDist()
    likely = normal.inv_cdf(LIKELY)
    detectable_below = (normal.inv_cdf(sure) + likely) * spread
    return replace(
        power,
        detectable_below=detectable_below,
        images=math.ceil(detectable_below * power.n) if gate.against else None,
        detectable_above=(normal.inv_cdf(gate.confidence) + likely) * spread,
        at_threshold=round(1 - gate.confidence, 12) if gate.decide == "proven" else None,
    )


def _sized(gate: Gate, data: DataFacts) -> Estimate | None:
    """Make an estimate of as many images as the gate will have; None where only answers tell how sure it is."""
    metric, digit = find(gate.metric), gate.scope.digit
    of_digit = data.n if digit is None else data.counts[digit]
    if not of_digit or not min(data.counts, default=0):
        return None
    if gate.against:
        clean = gate.scope.corruption is None and isinstance(metric.change, MeanOverImages) and metric.change.by_image
        n = metric.exact.images(data, digit) if metric.exact else of_digit
        flips = round(FLIPS * n)
        effect = assumed_effect(data, metric.unit_size(data, digit, n), n, ALIKE_PAIRS, max(1, flips))
        return Pairs(flips, 0, n, effect=effect) if clean else None
    if (exact := metric.exact_in(gate.scope)) is not None and (n := exact.images(data, digit)):
        missed = n * (1 - gate.threshold if gate.rule == "at_least" else gate.threshold)
        effect = assumed_effect(data, metric.unit_size(data, digit, n), n, ALIKE, missed)
        return exact.sized(data, digit, gate.rule, effect)
    missed, size = data.n * (1 - gate.threshold), metric.unit_size(data, None, data.n)
    return Share(0, data.n, assumed_effect(data, size, data.n, ALIKE, missed)) if metric.average else None


def assumed_effect(data: DataFacts, size: float, n: int, alike: float, mistakes: float) -> Effect | None:
    """Return the design effect that is assumed of ``n`` images before a model is there; None for independent ones.

    ``size``: mean size of their units; ``alike``: correlation of mistakes within a unit; ``mistakes``: as many as are
    expected.
    """
    if size <= 1:
        return None
    design = 1 + alike * (size - 1)
    return Effect(min(design + 2 / max(1.0, mistakes), max(size, design)), data.units, n / size, n)
