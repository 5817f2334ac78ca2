"""Thresholds that accepted runs suggest, as TOML for a person to edit: what such models show, less what chance takes.

A gate asks for the bound of a value, so the bounds of the runs are what is looked at, never their values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness import metrics
from harness.errors import NotMeasurable
from harness.formatting import one_line
from harness.records import AttackAt, Evidence, Measurement, Scope, Severity, SpacePoint

CONFIDENCE = 0.95
COVERED = 0.95  # share of retrains that a tolerance limit covers
_DIGITS = 4  # after the point of a threshold


@dataclass(frozen=True)
class Suggestion:
    """A gate proposed from accepted runs, and the reason for its threshold."""

    metric: str
    scope: Scope
    rule: str
    threshold: float
    because: str


def toml(runs: Sequence[Evidence]) -> str:
    """Write a policy. One run: its bound, and as far again below it; several: a tolerance limit over their bounds."""
    names = ", ".join(one_line(run.model.name, 60) for run in runs[:5]) + (", …" if len(runs) > 5 else "")
    head = f"# Suggested by {names} on {one_line(runs[0].data.name, 80)}. Edit it: say of each gate what it is for.\n"
    parts = [f'{head}format = 1\nname = "suggested"\n']
    for metric, scope in _asked(runs):
        try:
            measurements = [metrics.measure(run, metric, scope, CONFIDENCE) for run in runs]
        except NotMeasurable as error:
            parts.append(f"# no gate on {metric}: {one_line(str(error), 200)}\n")
            continue
        parts.append(_written(_suggested(measurements)))
    return "\n".join(parts)


def tolerance_factor(n: int) -> float:
    """Compute how many standard deviations from their mean hold 95 % of what n normal values were drawn from, at 95 %.

    One-sided, from the noncentral t distribution. After Odeh & Owen 1980.
    """
    from scipy.stats import nct, norm

    return float(nct.ppf(CONFIDENCE, n - 1, norm.ppf(COVERED) * math.sqrt(n)) / math.sqrt(n))


def _asked(runs: Sequence[Evidence]) -> Iterator[tuple[str, Scope]]:
    first = sorted(metrics.METRICS.values(), key=lambda entry: entry.of != "trial")  # of the answers before the rest
    yield from ((entry.name, Scope()) for entry in first if entry.suggested)
    common = set.intersection(*(set(run.answers) for run in runs))
    radii: dict[str, int] = {}
    for trial in sorted(common):
        if isinstance(trial, SpacePoint):
            radii[trial.name] = max(radii.get(trial.name, 0), trial.radius)
        elif isinstance(trial, Severity | AttackAt):
            scope = Scope(corruption=trial.name, severity=trial.level)
            yield from ((entry.name, scope) for entry in first if entry.each_trial)
    for entry in first:
        spaces = radii.items() if entry.of == "space" else ()
        yield from ((entry.name, Scope(corruption=name, within=within)) for name, within in spaces)


def _suggested(runs: Sequence[Measurement]) -> Suggestion:
    metric, scope = runs[0].metric, runs[0].scope
    rule = metrics.METRICS[metric].rule
    side = -1 if rule == "at_least" else 1
    bounds = [one.low if rule == "at_least" else one.high for one in runs]
    middle = sum(bounds) / len(bounds)
    if len(runs) == 1:
        room = abs(runs[0].value - middle)
        because = f"shown {runs[0].value:.4f}, proven {middle:.4f}; as far again, so that chance stops no equal model"
    else:
        spread = math.sqrt(sum((bound - middle) ** 2 for bound in bounds) / (len(bounds) - 1))
        room = tolerance_factor(len(runs)) * spread
        because = f"{len(runs)} runs prove {middle:.4f} on average; tolerance limit: 95 % of their like keep to this"
    return Suggestion(metric, scope, rule, _rounded(middle + side * room, side), because)


def _rounded(threshold: float, side: int) -> float:
    """Away from what was shown."""
    scale = 10.0**_DIGITS
    return (math.floor(threshold * scale) if side < 0 else math.ceil(threshold * scale)) / scale


def _written(gate: Suggestion) -> str:
    low, high = metrics.METRICS[gate.metric].legal
    worst_of = metrics.METRICS[gate.metric].worst_of
    name, each = (worst_of, ['class = "each"']) if worst_of else (gate.metric, [])
    if not low < gate.threshold < high:
        return f"# no gate on {name}: a limit at {gate.threshold:g} would say nothing; more runs or images tell more\n"
    of = {name: value for name, value in vars(gate.scope).items() if value not in (None, ())}
    lines = [
        "[[gate]]",
        f"metric = {json.dumps(name)}",
        *each,
        *(f"{key} = {json.dumps(value)}" for key, value in of.items()),
        f"{gate.rule} = {gate.threshold}",
        f"because = {json.dumps(gate.because)}",
    ]
    return "\n".join(lines) + "\n"
