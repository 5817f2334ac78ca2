"""Registry of the metrics that a policy may name: each enters itself here under its own name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.image_properties import PROPERTIES
from harness.records import Against, DataFacts, Evidence, Measurement, Rule, Scope
from harness.statistics.estimates import Bounds, Estimate, F1Share, Share, WorstOf
from harness.statistics.grouping import Effect
from harness.statistics.paired import Pairs, WorstPairs
from harness.statistics.retraining import Assumed

Estimator: TypeAlias = Callable[[Evidence, Scope], Estimate]
Change: TypeAlias = Callable[[Evidence, Sequence[Evidence], Scope], Estimate]  # of candidate and baselines
Columns: TypeAlias = NDArray[np.bool_]  # (n, shares)
Of: TypeAlias = Literal[
    "trial", "clean", "space", "corruption", "family", "slices", "slice", "attack", "units", "trigger"
]
Unit: TypeAlias = Literal["share", "nats", "number"]


@dataclass(frozen=True)
class Exact:
    """A share of images, or the worst of several, so that exact bounds hold: what is known of it before a model is.

    ``images``: how many images each share is of, from the facts of the data and the digit.
    ``jaccard``: the value is 2 J / (1 + J) of a share J.
    ``equal``: a comparison is of the same images, so that two equal models prove a margin.
    """

    images: Callable[[DataFacts, int | None], int]
    shares: int = 1
    jaccard: bool = False
    equal: bool = False

    def sized(self, data: DataFacts, digit: int | None, rule: Rule, effect: Effect | None = None) -> Estimate:
        """Return an estimate of as many images as there will be."""
        share = Share(0, max(1, self.images(data, digit)), effect)
        if self.jaccard:
            return F1Share(share)
        return share if self.shares == 1 else WorstOf([share] * self.shares, rule)


@dataclass(frozen=True)
class Metric:
    """Definition of a metric. Its meaning is the docstring of its function."""

    name: str
    estimate: Estimator
    rule: Rule
    of: Of = "trial"  # trial, clean images, finite space, corruption, several, slices, one slice, attack, trigger
    each_digit: bool = False
    unit: Unit = "share"
    legal: tuple[float, float] = (0.0, 1.0)  # thresholds lie strictly between
    label: str = ""  # the name in words
    exact: Exact | None = None  # lets power tell what a gate on it can show before a model is
    average: bool = False  # of the scores of all digits, about as sure as accuracy: what power then assumes
    columns: Callable[[Evidence, Scope], tuple[Columns, Columns] | None] | None = None
    # of each share it is of: which images are successes, among which images; to resample them
    constant: Callable[[int | None, int, float], float | None] | None = None
    # (digit, answer, share of it): value of a model that always answers so; None where that is not known. The control
    # of a run with a constant model counts only gates on metrics that have it
    change: Change | None = None  # candidate minus baseline on the same images
    not_compared: str = ""  # why there is no change, where that is not plain
    retraining: Assumed | None = None  # how much a retraining moves it, on clean images or of its own trials
    retraining_corrupted: Assumed | None = None  # the same under one corruption
    change_listed: bool = True  # whether tables show the change
    each_trial: bool = False  # whether tables show it at every severity of every corruption
    worst_of: str = ""  # the metric of each digit whose worst it is
    suggested: bool = False  # whether ``policy suggest`` proposes a gate on it
    section: str = "classes"  # of the report: where it is explained

    @property
    def meaning(self) -> str:
        """First sentence of the docstring."""
        return " ".join((self.estimate.__doc__ or "").split("\n\n")[0].split())

    def exact_in(self, scope: Scope) -> Exact | None:
        """Return what is known of the share before a model is; None of the values of a column, which may be any."""
        return self.exact if scope.column is None else None

    def unit_size(self, data: DataFacts, digit: int | None, n: int) -> float:
        """Return the mean size of the unit that one of ``n`` images is of (Kish); 1 where images are independent."""
        if not data.unit_sizes or not n or self.of == "units":
            return 1.0
        return data.unit_sizes[1 + digit] if digit is not None else 1 + (data.unit_sizes[0] - 1) * n / data.n

    def why_not_applicable(self, scope: Scope) -> str | None:
        """Say why this metric has no value in that scope; None if it has."""
        if self.each_digit != (scope.digit is not None):
            return f"{self.name} needs a digit" if self.each_digit else f"{self.name} is not of one digit"
        sliced = self.of in ("slices", "slice")
        if scope.column is not None and (self.of != "slices" or scope.property is not None):
            return (
                f"{self.name} takes no column" if self.of != "slices" else f"{self.name} takes a property or a column"
            )
        if (self.of == "units") != (scope.reaching is not None):
            return f"{self.name} needs reaching, 0..1" if self.of == "units" else f"{self.name} takes no reaching"
        if self.of == "units" and scope != Scope(reaching=scope.reaching):
            return f"{self.name} is of the clean images only"
        if sliced != (scope.property is not None or scope.column is not None):
            needs = ", ".join(PROPERTIES)
            return f"{self.name} needs a property: {needs}" if sliced else f"{self.name} takes no property"
        if (self.of == "slice") != (scope.slice is not None):
            return f"{self.name} needs a slice, 1..5" if self.of == "slice" else f"{self.name} takes no slice"
        if sliced and scope != Scope(property=scope.property, slice=scope.slice, column=scope.column):
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
        if scope.corruptions and self.of != "family":
            return f'{self.name} is of one corruption; write corruption = "each" for a gate on each of them'
        family = Scope(corruptions=scope.corruptions) if self.of == "family" else Scope()
        if self.of in ("clean", "family", "trigger") and scope != family:
            whole_of = {"clean": "the clean images only", "trigger": "all images"}.get(self.of, "all of MNIST-C")
            return f"{self.name} is of {whole_of}"
        if (scope.corruption is None) != (scope.severity is None):
            return f"{self.name} needs a corruption and a severity together, or neither"
        return None


_registry: dict[str, Metric] = {}
METRICS: Mapping[str, Metric] = MappingProxyType(_registry)


def metric(rule: Rule, *, label: str = "", **fields: Any) -> Callable[[Estimator], Estimator]:
    """Enter a function into METRICS under its own name; ``fields`` are those of Metric."""

    def enter(estimator: Estimator) -> Estimator:
        name = estimator.__name__
        _registry[name] = Metric(name, estimator, rule, label=label or name.replace("_", " "), **fields)
        return estimator

    return enter


def remove(name: str) -> None:
    """Take a metric out of METRICS again."""
    del _registry[name]


def measurement(
    estimate: Estimate, metric: str, scope: Scope, bounds: tuple[Bounds, str], against: Against = ""
) -> Measurement:
    """Write down an estimate with its interval and, in words, how that was found."""
    (low, high), how = bounds
    pairs = estimate.worst if isinstance(estimate, WorstPairs) else estimate
    effect = estimate.effect
    return Measurement(
        metric,
        estimate.value,
        low,
        high,
        estimate.n,
        scope,
        estimate.hits,
        how,
        part=estimate.part if isinstance(estimate, WorstOf | WorstPairs) else "",
        against=against,
        broken=pairs.broken if isinstance(pairs, Pairs) else None,
        fixed=pairs.fixed if isinstance(pairs, Pairs) else None,
        effect=effect.design if effect else None,
        effective=effect.images if effect else None,
        units=effect.units if effect else None,
        effective_units=min((one.effect.effective for one in parts_of(estimate) if one.effect), default=None),
    )


def parts_of(found: Estimate) -> Sequence[Estimate]:
    """List the shares or differences that an estimate is the worst of, or the estimate alone."""
    return found.shares if isinstance(found, WorstOf) else found.each if isinstance(found, WorstPairs) else [found]
