"""What a policy may ask of: each metric enters itself here under its own name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.image_properties import PROPERTIES
from harness.records import Against, Evidence, Measurement, Rule, Scope
from harness.statistics.estimates import Bounds, Estimate, WorstOf
from harness.statistics.paired import Pairs, WorstPairs

Estimator: TypeAlias = Callable[[Evidence, Scope], Estimate]
Change: TypeAlias = Callable[[Evidence, Evidence, Scope], Estimate]  # of candidate and baseline
Of: TypeAlias = Literal["trial", "clean", "space", "corruption", "family", "slices", "attack"]


@dataclass(frozen=True)
class Metric:
    """What a policy may ask of a metric.

    ``of``: one trial, the clean one only, a finite space, a corruption at all severities, all of MNIST-C,
    or the slices of a property.
    ``binomial``: a share of images, so n of n has a known lower bound.
    ``change``: candidate minus baseline on the same images; None where that is not asked.
    """

    name: str
    estimate: Estimator
    rule: Rule
    of: Of = "trial"
    each_digit: bool = False
    binomial: bool = False
    legal: tuple[float, float] = (0.0, 1.0)  # thresholds lie strictly between
    change: Change | None = None

    def misfit(self, scope: Scope) -> str | None:
        """Why this metric has no value in that scope, in a sentence; None if it has."""
        if self.each_digit != (scope.digit is not None):
            return f"{self.name} needs a digit" if self.each_digit else f"{self.name} is not of one digit"
        if (self.of == "slices") != (scope.property is not None):
            needs = ", ".join(PROPERTIES)
            return f"{self.name} needs a property: {needs}" if self.of == "slices" else f"{self.name} takes no property"
        if self.of == "slices" and scope != Scope(property=scope.property):
            return f"{self.name} is of the clean images only"
        if self.of == "space":
            of_space = scope.corruption is not None and scope.within is not None and scope.severity is None
            return None if of_space else f"{self.name} needs a corruption and within, and no severity"
        if scope.within is not None:
            return f"{self.name} has no value over a whole space; use worst_case_accuracy"
        if self.of == "corruption":
            whole = scope.corruption is not None and scope.severity is None
            return None if whole else f"{self.name} needs a corruption, and no severity: it is the mean over all five"
        if self.of == "attack" and (scope.corruption != "pgd_linf" or scope.severity is None):
            return f"{self.name} needs the corruption pgd_linf and a severity"
        if self.of in ("clean", "family") and scope != Scope():
            whole_of = "the clean images only" if self.of == "clean" else "all of MNIST-C"
            return f"{self.name} is of {whole_of}"
        if (scope.corruption is None) != (scope.severity is None):
            return f"{self.name} needs a corruption and a severity together, or neither"
        return None


_registry: dict[str, Metric] = {}
METRICS: Mapping[str, Metric] = _registry


def metric(
    rule: Rule,
    *,
    of: Of = "trial",
    each_digit: bool = False,
    binomial: bool = False,
    legal: tuple[float, float] = (0.0, 1.0),
    change: Change | None = None,
) -> Callable[[Estimator], Estimator]:
    """Enter a function into METRICS under its own name."""

    def enter(estimator: Estimator) -> Estimator:
        name = estimator.__name__
        _registry[name] = Metric(name, estimator, rule, of, each_digit, binomial, legal, change)
        return estimator

    return enter


def estimate(evidence: Evidence, name: str, scope: Scope) -> Estimate:
    """Return a metric's estimate, from which value, bounds and p-value follow; raises NotMeasurable."""
    if misfit := METRICS[name].misfit(scope):
        raise ValueError(misfit)
    return METRICS[name].estimate(evidence, scope)


def measurement(
    found: Estimate, metric: str, scope: Scope, bounds: tuple[Bounds, str], against: Against = ""
) -> Measurement:
    """Write down an estimate with its interval and, in words, how that was found."""
    (low, high), how = bounds
    pairs = found.worst if isinstance(found, WorstPairs) else found
    return Measurement(
        metric,
        found.value,
        low,
        high,
        found.n,
        scope,
        found.hits,
        how,
        part=found.part if isinstance(found, WorstOf | WorstPairs) else "",
        against=against,
        broken=pairs.broken if isinstance(pairs, Pairs) else None,
        fixed=pairs.fixed if isinstance(pairs, Pairs) else None,
    )
