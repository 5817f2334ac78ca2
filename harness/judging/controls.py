"""Controls, two models of known verdict judged with every run: a constant one must be stopped, the labels pass.

They are judged by the same judge, policy, images and trials as the candidate. If one of them comes out wrong, nothing
that the judge said of the candidate can be believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.judging import verdict
from harness.judging.gates import judge_all
from harness.metrics import Evaluation, evaluate, find
from harness.records import CLASSES, CLEAN, Classes, Evidence, Finding, Gate, Scope, Trial

CLEARLY = 0.1  # of the images; nearer to the margin a constant answer could pass beside a baseline
SURE = np.float32(0.999)  # of both; what is left is shared out evenly


def findings(evaluation: Evaluation, trials: Sequence[Trial]) -> tuple[Finding, ...]:
    """Judge the two; no finding where there are no images or no gates."""
    evidence, gates = evaluation.evidence, evaluation.gates
    if not len(evidence.labels) or not gates:
        return ()
    asked = [*trials, *evidence.answers]
    return _constant(evidence, gates, asked), _reference(evidence, gates, asked)


def _constant(evidence: Evidence, gates: Sequence[Gate], trials: Sequence[Trial]) -> Finding:
    counts = np.bincount(evidence.labels, minlength=CLASSES)
    digit = int(counts.argmax())
    title = f"a model that always answers {digit} is stopped"
    must = {gate.id for gate in gates if _missed(evidence, gate, digit, float(counts[digit] / counts.sum()))}
    judged = judge_all(evaluate(_answering(evidence, np.full(len(evidence.labels), digit, np.int8), trials), gates))
    missed = [one for one in judged if one.gate is not None and one.gate.id in must]
    passed = [one for one in missed if one.status == "passed" and one.gate is not None and one.gate.decide == "proven"]
    if passed:
        return _control("constant", title, f"a model that always answers {digit} passed: {passed[0].reason}")
    if must and verdict.of(judged).word.startswith("allowed"):
        return _control("constant", title, f"a model that always answers {digit} was let through")
    if not must:
        why = f"{title}: cannot be asked; no required gate of this policy is known beforehand to stop it"
        return replace(_control("constant", title, why), status="not_evaluated", level="warning")
    return replace(_control("constant", title, f"{title}: holds"), status="passed")


def _reference(evidence: Evidence, gates: Sequence[Gate], trials: Sequence[Trial]) -> Finding:
    title = "the labels themselves, given as answers, are let through"
    found = judge_all(evaluate(_answering(evidence, evidence.labels.astype(np.int8), trials), gates))
    stopped = [one for one in found if one.status == "failed" or (_must_pass(one) and one.status == "inconclusive")]
    if stopped:
        return _control("reference", title, f"the labels themselves did not pass: {stopped[0].reason}")
    return replace(_control("reference", title, f"{title}: holds"), status="passed")


def _must_pass(finding: Finding) -> bool:
    """Tell whether the labels must pass a gate.

    ``policy.check_against`` has seen to it, but of the slices of a column and of images of units, whose design effect
    is only assumed there; of these a share that is not perfect is wrong all the same.
    """
    measured, gate = finding.measurement, finding.gate
    if measured is None or gate is None or measured.hits is None or measured.against:
        return False
    known = measured.effect is None and gate.scope.column is None
    return known or measured.hits != (measured.n if gate.rule == "at_least" else 0)


def _missed(evidence: Evidence, gate: Gate, said: int, share: float) -> bool:
    """Tell whether a constant answer misses the gate, by what can be counted without the judge."""
    constant = find(gate.metric).constant
    value = constant(gate.scope.digit, said, share) if constant and gate.level == "required" else None
    if value is None:
        return False
    if not gate.against:
        return gate.threshold > value
    last = evidence.baseline.predictions.answers.get(CLEAN) if evidence.baseline else None
    clean_accuracy = gate.metric == "accuracy" and gate.scope == Scope() and gate.kind != "guard"
    if last is None or not clean_accuracy or len(last) != len(evidence.labels):
        return False
    return value - float((last == evidence.labels).mean()) + CLEARLY < gate.threshold


def _answering(evidence: Evidence, classes: Classes, trials: Sequence[Trial]) -> Evidence:
    rows = np.full((len(classes), CLASSES), (1 - SURE) / (CLASSES - 1), np.float32)
    rows[np.arange(len(classes)), classes] = SURE
    predictions = replace(evidence.predictions, probabilities=rows, answers=dict.fromkeys([CLEAN, *trials], classes))
    trigger = evidence.trigger and replace(evidence.trigger, answers=classes)
    return replace(evidence, predictions=predictions, trigger=trigger, fault="")


def _control(name: str, title: str, reason: str) -> Finding:
    return Finding(id=f"control/{name}", kind="control", title=title, status="inconclusive", reason=reason)
