"""A metric of the user's own: a function of (labels, predictions, probabilities) that scores each clean image.

labels (n,) 0..9; predictions (n,) 0..9, -1 for no answer; probabilities (n, 10). It returns (n,) booleans, which make a
share of images with an exact interval, or numbers 0..1, whose mean is resampled by image. Larger is better.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.corruptions import user_code
from harness.errors import NotMeasurable, UsageError
from harness.formatting import one_line
from harness.metrics.comparable import MeanOverImages
from harness.metrics.counting import answers_to, one_column, share
from harness.metrics.registry import METRICS, Columns, Metric
from harness.records import CLEAN, Codes, Evidence, Gate, Scope
from harness.statistics import paired
from harness.statistics.estimates import Estimate, from_scores


def find(name: str) -> Metric:
    """Return a metric by name; ``package.module:function`` is imported, or UsageError."""
    return METRICS[name] if name in METRICS else _imported(name)


@cache
def _imported(name: str) -> Metric:
    if ":" not in name:
        close = difflib.get_close_matches(name, METRICS, 1)
        way = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(METRICS))}"
        raise UsageError(f"unknown metric {one_line(name, 60)!r}; {way}")
    function = user_code.imported("metric", name, "(labels, predictions, probabilities)")

    def estimate(evidence: Evidence, scope: Scope) -> Estimate:
        scores = _scores(name, function, evidence)
        return share(evidence, scores) if scores.dtype == np.bool_ else from_scores(scores, evidence.codes)

    def difference(ours: NDArray[Any], theirs: Sequence[NDArray[Any]], codes: Codes | None) -> Estimate:
        if all(each.dtype == np.bool_ for each in (ours, *theirs)):
            return paired.beside_several(ours, theirs, codes)
        return paired.from_scores(ours.astype(np.float64), np.mean(theirs, axis=0, dtype=np.float64), codes)

    def columns(evidence: Evidence, scope: Scope) -> tuple[Columns, Columns] | None:
        scores = _scores(name, function, evidence)
        return one_column(scores, np.ones_like(scores)) if scores.dtype == np.bool_ else None

    def numbers(evidence: Evidence, scope: Scope) -> NDArray[Any]:
        return _scores(name, function, evidence)

    estimate.__doc__ = function.__doc__
    change = MeanOverImages(numbers, difference)
    return Metric(name, estimate, "at_least", of="clean", change=change, columns=columns, label=name)


def own_meaning(name: str) -> str:
    """Return the first sentence of the docstring of a user's own metric; empty where it has none, or is not one."""
    return "" if name in METRICS else one_line(re.split(r"(?<=[.!?])\s", find(name).meaning)[0], 200)


def _scores(name: str, function: Callable[..., Any], evidence: Evidence) -> NDArray[Any]:
    """Return one score an image. NotMeasurable where the function raises or returns anything else."""
    given = evidence.labels, answers_to(evidence, CLEAN), evidence.probabilities
    n = len(evidence.labels)
    if n == 0:
        raise NotMeasurable("there are no images")
    try:
        returned = user_code.called(f"metric {name}", "", lambda: _unwarned(function, given))
    except UsageError as error:
        raise NotMeasurable(str(error)) from error
    if not isinstance(returned, np.ndarray) or returned.shape != (n,) or returned.dtype.kind not in "bfiu":
        shape = f"{returned.dtype} {returned.shape}" if isinstance(returned, np.ndarray) else type(returned).__name__
        raise NotMeasurable(f"metric {name} returned {shape}, not an array of {n} booleans or numbers")
    if returned.dtype == np.bool_:
        return returned
    scores = returned.astype(np.float64)
    if not ((scores >= 0) & (scores <= 1)).all():
        raise NotMeasurable(f"metric {name} returned a score that does not lie in 0 to 1")
    return scores


def _unwarned(function: Callable[..., Any], arrays: Iterable[NDArray[Any]]) -> Any:
    """Call a function on copies of arrays without NumPy's warnings, which name no metric: its scores are checked."""
    with np.errstate(all="ignore"):
        return function(*(array.copy() for array in arrays))


def own_sources(gates: Iterable[Gate]) -> dict[str, str]:
    """Hash the files that the gates' metrics of the user's own are in, by the name of the metric."""
    return {gate.metric: user_code.sha256_of(gate.metric) for gate in gates if gate.metric not in METRICS}
