"""Candidate minus baseline: the same metrics, measured on the same images of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from harness.errors import NotMeasurable
from harness.metrics.comparable import MeanOverImages
from harness.metrics.own import find
from harness.metrics.registry import METRICS
from harness.records import CLASSES, CLEAN, Against, AttackAt, Baseline, Evidence, Predictions, Scope, Severity
from harness.statistics.estimates import Estimate

NO_BASELINE = "needs a baseline; none was given"


def rows(evidence: Evidence) -> Iterator[tuple[str, Scope]]:
    """Yield every difference that the report shows; none without a baseline."""
    if evidence.baseline is None:
        return
    for entry in METRICS.values():
        if entry.change is None or not entry.change_listed:
            continue
        if entry.of in ("trial", "clean"):
            scopes = [Scope(digit=digit) for digit in range(CLASSES)] if entry.each_digit else [Scope()]
            yield from ((entry.name, scope) for scope in scopes)
    for trial in sorted(evidence.answers):
        if isinstance(trial, Severity | AttackAt):
            scope = Scope(corruption=trial.name, severity=trial.level)
            yield from ((entry.name, scope) for entry in METRICS.values() if entry.each_trial and entry.change)


def difference(evidence: Evidence, name: str, scope: Scope, against: Against = "") -> Estimate:
    """Estimate candidate minus release or, ``against`` the baseline or the anchor, minus the mean of its accepted runs.

    NotMeasurable where they did not answer the same images.
    """
    metric = find(name)
    if why := metric.why_not_applicable(scope):
        raise ValueError(why)
    if metric.change is None:
        raise ValueError(f"{name} is not compared with a baseline")
    if evidence.baseline is None:
        raise NotMeasurable(NO_BASELINE)
    if isinstance(metric.change, MeanOverImages):
        metric.change.numbers(evidence, scope)  # names what is missing of the candidate's own
    else:
        metric.estimate(evidence, scope)
    models, why = beside(evidence, evidence.baseline, evidence.baseline.against(against) if against else ())
    try:
        return metric.change(evidence, models, scope)
    except NotMeasurable as error:
        raise NotMeasurable(why or str(error).replace("the evidence", "the baseline")) from error


def beside(evidence: Evidence, baseline: Baseline, runs: Sequence[Predictions] = ()) -> tuple[list[Evidence], str]:
    """Make evidence of each run, by default of the release, with its answers to the candidate's own images.

    Returns too why answers were left out. NotMeasurable where the images are others altogether.
    """
    if baseline.facts.data_sha256 != evidence.data.sha256:
        which = f"{baseline.facts.data_sha256[:10]}, not {evidence.data.sha256[:10]}"
        raise NotMeasurable(f"the baseline answered other images (data {which})")
    pairs = [_comparable(evidence.predictions, run) for run in runs or (baseline.predictions,)]
    models = [replace(evidence, predictions=kept, fault="") for kept, _ in pairs]
    return models, next((why for _, why in pairs if why), "")


@lru_cache(maxsize=16)  # runs; each gate and each row of the report asks for the same
def _comparable(ours: Predictions, theirs: Predictions) -> tuple[Predictions, str]:
    """Keep the baseline's predictions of the same images, and say why others were left out."""
    kept = {
        trial: answers
        for trial, answers in theirs.answers.items()
        if trial == CLEAN or (theirs.seed == ours.seed and theirs.drawn[trial] == ours.drawn.get(trial))
    }
    why = ""
    if theirs.seed != ours.seed:
        why = f"the baseline's corruptions were drawn with seed {theirs.seed}, not {ours.seed}"
    elif any(theirs.drawn[trial] != mark for trial, mark in ours.drawn.items() if trial in theirs.drawn):
        why = "the baseline answered images that were corrupted otherwise; was it another version of the harness?"
    return replace(theirs, answers=kept), why
