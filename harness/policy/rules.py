"""Rules of a gate beyond its types: names that exist, keys that fit together, a threshold within reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from itertools import product

from harness import metrics
from harness.corruptions import SPACES, Space, find, trial_named
from harness.errors import UsageError
from harness.formatting import one_line, percent, points
from harness.image_properties import PROPERTIES
from harness.image_properties.slices import QUINTILES
from harness.metrics import find as find_metric
from harness.metrics.comparable import MeanOverImages
from harness.metrics.display import counted, title, title_of
from harness.metrics.margins import RETRAINING, assumed_of, share_of
from harness.policy.table import GateTable, suggest
from harness.records import CLASSES, DataFacts, Gate, Scope
from harness.statistics import grouping, intervals
from harness.statistics.estimates import Share, f1_of_share, share_of_f1
from harness.statistics.grouping import Effect
from harness.statistics.paired import Pairs

Problem = tuple[str, str]  # the key whose line is meant, what is wrong

REFUSED = ("auc", "roc_auc", "roc", "one_vs_rest_auc")


def problems(table: GateTable) -> Iterator[Problem]:
    """Yield what the types cannot see."""
    if table.metric in REFUSED:
        yield (
            "metric",
            f"{table.metric!r} is defined for two classes and does not decide a ten-class verdict; "
            "use accuracy, recall, precision or f1 per class, or largest_confusion",
        )
        return
    try:
        metric = find_metric(table.metric)
    except UsageError as error:
        yield "metric", one_line(str(error), 1000)
        meant = get_close_matches(table.metric, metrics.METRICS, 1)
        if not meant:
            return
        metric, table = find_metric(meant[0]), table.model_copy(update={"metric": meant[0]})
    if table.kind is not None and table.decide is not None:
        yield "decide", f"kind = {table.kind!r} says already how the gate decides; drop one of the two"
    try:
        for key in table.corruptions or ():
            trial_named(key)
    except ValueError as error:
        yield "corruptions", one_line(str(error), 200)
        table = table.model_copy(update={"corruptions": ["fog@2", "shear@1"]})
    yield from _of_baseline(table, metric) if _compares(table) else _of_threshold(table, metric)
    yield from _of_corruption(table, metric)


def beyond_reach(gate: Gate, data: DataFacts) -> str | None:
    """Say why even a perfect score on this data could not pass the gate; None if it could."""
    if gate.against:
        return _of_equal(gate, data)
    needs = _of_perfect(gate, data) if gate.decide == "proven" else None
    if needs is None:
        return None
    n, share, unit = needs
    effect = _of_no_mistake(data, gate, n)
    perfect = Share(n, n, effect) if n else None
    proven = perfect.bounds(gate.confidence)[0][0] if perfect else 0.0
    design = effect.design if effect else 1.0
    if proven >= share or (effect is not None and effect.effective < grouping.FEWEST):
        return None
    words, best, noun = gate.rule.replace("_", " "), unit(proven), counted(gate.metric, data.unit)
    return (
        f"{title(gate.metric, gate.scope)} {words} {percent(gate.threshold, best)} cannot be shown with {n:,} {noun}s: "
        f"a perfect score proves {percent(best, gate.threshold)}; it takes "
        f"{math.ceil(design * intervals.smallest_n_for_perfect(share, gate.confidence)):,} {noun}s, or another "
        "threshold"
    )


def _of_perfect(gate: Gate, data: DataFacts) -> tuple[int, float, Callable[[float], float]] | None:
    """Return the images or units that count, the share to be proven, and what a share is in the metric's own unit."""
    exact = find_metric(gate.metric).exact_in(gate.scope)
    if exact is None:
        return None
    n = exact.images(data, gate.scope.digit)
    if exact.jaccard:
        return n, share_of_f1(gate.threshold), f1_of_share
    if gate.rule == "at_most":
        return n, 1 - gate.threshold, lambda share: 1 - share
    return n, gate.threshold, float


def _of_equal(gate: Gate, data: DataFacts) -> str | None:
    """Say why not even a model that answers as the baseline does could pass."""
    exact = find_metric(gate.metric).exact_in(gate.scope)
    if gate.decide != "proven" or gate.margin or exact is None or not exact.equal:
        return None
    n = exact.images(data, gate.scope.digit)
    margin, effect = abs(gate.threshold), _of_no_mistake(data, gate, n)
    needed = math.ceil((effect.design if effect else 1.0) * intervals.smallest_n_for_equal(margin, gate.confidence))
    if n >= needed or (effect is not None and effect.effective < grouping.FEWEST):
        return None
    equal = Pairs(0, 0, max(1, n), effect=effect).bounds(gate.confidence)[0][0]
    proven = f"two models that never differ prove {points(equal)}"
    return (
        f"{title_of(gate)} within a margin of {percent(margin)} cannot be shown with {n:,} images: "
        f"{proven if n else 'there are none'}; it takes {needed:,} images, or another margin"
    )


def _of_no_mistake(data: DataFacts, gate: Gate, n: int) -> Effect | None:
    """Return the design effect of ``n`` images without any mistake; None for independent ones."""
    size = find_metric(gate.metric).unit_size(data, gate.scope.digit, n)
    return None if size <= 1 else Effect(min(grouping.NO_MISTAKE, size), data.units, n / size, n)


def _compares(table: GateTable) -> bool:
    return table.no_worse_than is not None or table.margin is not None


def _of_baseline(table: GateTable, metric: metrics.Metric) -> Iterator[Problem]:
    for key in ("at_least", "at_most"):
        if getattr(table, key) is not None:
            yield key, f"both {key} and no_worse_than are given; keep one, and write a gate of its own for the other"
    if table.no_worse_than is None:
        yield "margin", 'a margin is of a comparison; add no_worse_than = "baseline", or drop the margin'
    elif table.margin is None:
        yield "no_worse_than", "the margin is missing: how much worse may it be, and because of what?"
    if isinstance(table.margin, str):
        yield from _of_margin(table, metric)
    elif table.margin is not None and not 0 < table.margin < 1:
        hint = " (0.002 is 0.2 points)" if table.margin >= 1 else " (equal models differ by chance: 0 would stop them)"
        yield "margin", f"margin = {table.margin:g} is out of range; it lies between 0 and 1{hint}"
    if metric.change is None:
        comparable = ", ".join(name for name, other in metrics.METRICS.items() if other.change)
        why = f" ({metric.not_compared})" if metric.not_compared else ""
        yield "metric", f"{table.metric} is not compared with a baseline{why}; these are: {comparable}"


def _of_margin(table: GateTable, metric: metrics.Metric) -> Iterator[Problem]:
    """Check a margin that follows from the accepted runs."""
    margin, scope = str(table.margin), next(scopes(table), Scope())
    if margin == RETRAINING:
        if metric.why_not_applicable(scope) is None and assumed_of(metric, scope) is None:
            known = ", ".join(name for name, other in metrics.METRICS.items() if other.retraining)
            yield "margin", f"how much retraining moves {table.metric} is not known; give a number, or use {known}"
        return
    try:
        share = share_of(margin)
    except ValueError:
        yield "margin", f'margin = {one_line(margin, 60)!r} is no margin; give a number, "25 %" or "retraining"'
        return
    if not 0 < share <= 10:
        yield "margin", f"margin = {margin!r} is out of range; it lies between 0 and 1000 %"
    if metric.change is not None and not isinstance(metric.change, MeanOverImages):
        yield (
            "margin",
            f"{table.metric} is no mean over images, so it has no share of mistakes; give a number",
        )


def scopes(table: GateTable) -> Iterator[Scope]:
    """Yield the scope of each gate that a table stands for: of each digit, slice or corruption where it says so."""
    digits: Iterable[int | None] = range(CLASSES) if table.digit == "each" else [table.digit]
    quintiles: Iterable[int | None] = range(1, QUINTILES + 1) if table.slice == "each" else [table.slice]
    listed = tuple(table.corruptions or ())
    trials: Iterable[tuple[str | None, int | None]] = [(table.corruption, table.severity)]
    if table.corruption == "each":
        trials, listed = [(trial.name, trial.point[0]) for trial in map(trial_named, listed)], ()
    for digit, fifth, (name, severity) in product(digits, quintiles, trials):
        yield Scope(digit, name, severity, table.within, table.property, fifth, listed, table.column, table.reaching)


def _of_threshold(table: GateTable, metric: metrics.Metric) -> Iterator[Problem]:
    given = [(key, value) for key in ("at_least", "at_most") if (value := getattr(table, key)) is not None]
    if len(given) != 1:
        key = "" if not given else "at_most" if metric.rule == "at_least" else "at_least"
        said = "neither at_least nor at_most is" if not given else "both at_least and at_most are"
        yield key, f"{said} given; {table.metric} takes {metric.rule}"
        return
    (key, value), (low, high) = given[0], metric.legal
    if not low < value < high:
        hint = " (shares are 0..1, not percent)" if high == 1 and value > 1 else ""
        yield key, f"{key} = {value:g} is out of range; {table.metric} lies between {low:g} and {high:g}{hint}"
    if key != metric.rule:
        better = "larger" if metric.rule == "at_least" else "smaller"
        yield key, f"{table.metric} is better when {better}; use {metric.rule}"


def _of_corruption(table: GateTable, metric: metrics.Metric) -> Iterator[Problem]:
    if table.corruption == "each" and not table.corruptions:
        yield "corruption", 'corruption = "each" needs the list of them; add corruptions = ["fog@2", "shear@1"]'
        return
    if table.corruption == "each" and table.severity is not None:
        yield "severity", "each corruption of the list has a severity of its own; drop this one"
    scope = next(scopes(table))
    why = metric.why_not_applicable(scope)
    if why is not None:
        lacks = metric.each_digit and scope.digit is None
        yield "metric", why + ('; add class = 0..9 or class = "each"' if lacks else "")
        return
    if table.reaching is not None and not 0 < table.reaching <= 1:
        yield "reaching", f"reaching = {table.reaching:g} is out of range; it is an accuracy, over 0 and at most 1"
    if table.property is not None and table.property not in PROPERTIES:
        yield "property", f"unknown property {one_line(table.property, 60)!r}{suggest(table.property, PROPERTIES)}"
    if len(set(table.corruptions or ())) != len(table.corruptions or ()):
        yield "corruptions", "names a corruption twice; keep one of each"
    for key in table.corruptions or ():
        yield from _of_name("corruptions", key.rpartition("@")[0], table, metric)
    if table.corruption not in (None, "each"):
        yield from _of_name("corruption", str(table.corruption), table, metric)


def _of_name(key: str, name: str, table: GateTable, metric: metrics.Metric) -> Iterator[Problem]:
    """Check one name of a corruption or a space."""
    try:
        entry = find(name)
    except UsageError as error:
        yield key, one_line(str(error))
        return
    if isinstance(entry, Space) != (metric.of == "space"):
        fits = "a finite space: " + ", ".join(SPACES) if metric.of == "space" else "a corruption with severities"
        yield key, f"{table.metric} needs {fits}; {one_line(name, 60)!r} is not"
    elif isinstance(entry, Space) and table.within is not None and table.within > entry.largest:
        yield "within", f"within = {table.within} is out of range; {name} goes up to {entry.largest}"
