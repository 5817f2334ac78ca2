"""Margins that follow from the accepted runs: how much retraining moves a metric, or a share of its mistakes."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.errors import NotMeasurable
from harness.metrics.changes import beside
from harness.metrics.comparable import MeanOverImages
from harness.metrics.own import find
from harness.metrics.registry import Metric
from harness.records import Baseline, Evidence, Gate, RetrainingMargin, Scope
from harness.statistics import retraining
from harness.statistics.retraining import Assumed

RETRAINING = "retraining"
CREEP = 2.0  # margins that releases may lose, one after another, before gates against the anchor stop them


def assumed_of(metric: Metric, scope: Scope) -> Assumed | None:
    """Return what is assumed of a metric's retraining in a scope; None where margins must be given."""
    return metric.retraining if scope.corruption is None else metric.retraining_corrupted


def with_margin(evidence: Evidence, gate: Gate) -> tuple[Gate, RetrainingMargin | None]:
    """Set the threshold of a gate whose margin follows from the accepted runs, and say what the margin is made of.

    NotMeasurable where the runs cannot be compared.
    """
    metric = find(gate.metric)
    if not gate.margin or evidence.baseline is None or not isinstance(metric.change, MeanOverImages):
        return gate, None
    models, why = beside(evidence, evidence.baseline, evidence.baseline.against(gate.against))
    try:
        losses, n = metric.change.losses(models, gate.scope)
    except NotMeasurable as error:
        raise NotMeasurable(why or str(error).replace("the evidence", "the baseline")) from error
    parts = None
    if gate.margin == RETRAINING:
        assumed = assumed_of(metric, gate.scope)
        assert assumed is not None  # the policy has seen to it
        parts = _fixed(evidence.baseline, gate) or retraining.margin(losses, n, assumed)
        margin = parts.value
    else:
        margin = round(share_of(gate.margin) * sum(losses) / len(losses), retraining.DIGITS)
    margin *= CREEP if gate.against == "anchor" else 1
    return replace(gate, threshold=margin if gate.rule == "at_most" else -margin), parts


def _fixed(baseline: Baseline, gate: Gate) -> RetrainingMargin | None:
    """Find the margin that was fixed when the baseline was accepted."""
    asked = gate.metric, gate.scope, gate.against
    fixed = next((one.margin for one in baseline.margins if (one.metric, one.scope, one.against) == asked), None)
    if fixed is not None and not retraining.agrees(fixed):
        raise NotMeasurable("its margin in the baseline file is not what its parts give; accept the runs again")
    return fixed


def share_of(margin: str) -> float:
    """Read ``"25 %"``. ValueError where it is none."""
    if not re.fullmatch("[0-9.]+ ?%", margin):
        raise ValueError(f"{margin!r} is no share; write it as 25 %")
    return float(margin[:-1]) / 100
