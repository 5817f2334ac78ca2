"""Estimates of what the gates of a policy ask for, each made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import NotMeasurable
from harness.metrics.changes import difference
from harness.metrics.margins import with_margin
from harness.metrics.own import find
from harness.records import Against, Evidence, Gate, RetrainingMargin, Scope
from harness.statistics.estimates import Estimate


@dataclass(frozen=True)
class Evaluation:
    """Evidence beside the gates that are asked of it: of each gate id the estimate, or the reason why there is none.

    Margins that follow from the accepted runs are thresholds here; ``margins``: what each is made of.
    """

    evidence: Evidence
    gates: tuple[Gate, ...]
    estimates: Mapping[str, Estimate]
    missing: Mapping[str, str]
    margins: Mapping[str, RetrainingMargin]

    def estimate(self, metric: str, scope: Scope, against: Against = "") -> Estimate:
        """Return the estimate that a gate is judged on, or make one where no gate asks for it; raises NotMeasurable.

        Against the baseline it is the difference from the release alone.
        """
        pooled = against and self.evidence.baseline is not None and self.evidence.baseline.pool
        for gate in () if pooled else self.gates:
            if (gate.metric, gate.scope, gate.against) == (metric, scope, against) and gate.id in self.estimates:
                return self.estimates[gate.id]
        return _estimated(self.evidence, metric, scope, against, pooled=False)


def evaluate(evidence: Evidence, gates: Sequence[Gate]) -> Evaluation:
    """Estimate what each gate asks for; gates that ask for the same share one estimate."""
    made: dict[tuple[str, Scope, Against], Estimate | str] = {}
    resolved: list[Gate] = []
    margins: dict[str, RetrainingMargin] = {}
    for gate in gates:
        asked = _asked(evidence, gate)
        try:
            if asked not in made:
                made[asked] = _estimated(evidence, *asked)
            if not isinstance(made[asked], str):
                gate, parts = with_margin(evidence, gate)
                if parts is not None:
                    margins[gate.id] = parts
        except NotMeasurable as reason:
            made[asked] = evidence.fault or str(reason)
        resolved.append(gate)
    of_gates = {gate.id: made[_asked(evidence, gate)] for gate in gates}
    return Evaluation(
        evidence,
        tuple(resolved),
        {name: found for name, found in of_gates.items() if not isinstance(found, str)},
        {name: found for name, found in of_gates.items() if isinstance(found, str)},
        margins,
    )


def _asked(evidence: Evidence, gate: Gate) -> tuple[str, Scope, Against]:
    """Return what a gate asks for; a baseline that is its own anchor answers both alike."""
    own = gate.against == "anchor" and evidence.baseline is not None and not evidence.baseline.anchor
    return gate.metric, gate.scope, "baseline" if own else gate.against


def estimate(evidence: Evidence, name: str, scope: Scope) -> Estimate:
    """Return a metric's estimate, from which value, bounds and p-value follow; raises NotMeasurable."""
    metric = find(name)
    if why := metric.why_not_applicable(scope):
        raise ValueError(why)
    return metric.estimate(evidence, scope)


def _estimated(evidence: Evidence, metric: str, scope: Scope, against: Against, *, pooled: bool = True) -> Estimate:
    if not against:
        return estimate(evidence, metric, scope)
    return difference(evidence, metric, scope, against if pooled else "")
