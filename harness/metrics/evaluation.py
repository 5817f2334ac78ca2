"""Estimates of what the gates of a policy ask for, each made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import NotMeasurable
from harness.metrics.changes import difference
from harness.metrics.own import find
from harness.records import Against, Evidence, Gate, Scope
from harness.statistics.estimates import Estimate


@dataclass(frozen=True)
class Evaluation:
    """Evidence beside the gates that are asked of it: of each gate id the estimate, or the reason why there is none."""

    evidence: Evidence
    gates: tuple[Gate, ...]
    estimates: Mapping[str, Estimate]
    missing: Mapping[str, str]

    def estimate(self, metric: str, scope: Scope, against: Against = "") -> Estimate:
        """Return the estimate that a gate is judged on, or make one where no gate asks for it; raises NotMeasurable."""
        for gate in self.gates:
            if (gate.metric, gate.scope, gate.against) == (metric, scope, against) and gate.id in self.estimates:
                return self.estimates[gate.id]
        return _estimated(self.evidence, metric, scope, against)


def evaluate(evidence: Evidence, gates: Sequence[Gate]) -> Evaluation:
    """Estimate what each gate asks for; gates that ask for the same share one estimate."""
    made: dict[tuple[str, Scope, Against], Estimate | str] = {}
    for gate in gates:
        asked = gate.metric, gate.scope, gate.against
        if asked in made:
            continue
        try:
            made[asked] = _estimated(evidence, *asked)
        except NotMeasurable as reason:
            made[asked] = evidence.fault or str(reason)
    of_gates = {gate.id: made[gate.metric, gate.scope, gate.against] for gate in gates}
    return Evaluation(
        evidence,
        tuple(gates),
        {name: found for name, found in of_gates.items() if not isinstance(found, str)},
        {name: found for name, found in of_gates.items() if isinstance(found, str)},
    )


def estimate(evidence: Evidence, name: str, scope: Scope) -> Estimate:
    """Return a metric's estimate, from which value, bounds and p-value follow; raises NotMeasurable."""
    metric = find(name)
    if misfit := metric.misfit(scope):
        raise ValueError(misfit)
    return metric.estimate(evidence, scope)


def _estimated(evidence: Evidence, metric: str, scope: Scope, against: Against) -> Estimate:
    return difference(evidence, metric, scope) if against else estimate(evidence, metric, scope)
