"""Accepted runs as one baseline: judged beside each other first, with their margins and the anchor fixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from statistics import NormalDist

from harness import policy
from harness.errors import UsageError
from harness.evidence import baseline_file
from harness.formatting import count, legible, one_line
from harness.judging import power, verdict
from harness.judging.gates import judge_all
from harness.metrics import evaluate
from harness.records import AcceptedMargin, Baseline, Evidence, Gate, Verdict
from harness.run.finished_run import FinishedRun, open_finished
from harness.run.session import default_policy

ACCEPTABLE = ("allowed", "allowed_with_warnings")
LEAST = 3  # runs that measure how often one is released beside the others


@dataclass(frozen=True)
class Acceptance:
    """A baseline as it will be written, with what was found when its runs were judged beside each other."""

    baseline: Baseline
    gates: tuple[Gate, ...]
    """The gates whose margins follow from retraining, with the margins as thresholds."""
    falls: Mapping[str, float]
    """By gate id, the true fall that is stopped with 80 % probability; none for one run."""
    left_out: Mapping[str, Verdict]
    """By model of each run, its verdict beside the others; none for fewer than three runs."""
    missing: tuple[str, ...]
    """Reasons why gates of the policy cannot be judged beside this baseline."""

    @property
    def passed(self) -> int:
        """Count the runs that would be released beside the others."""
        return sum(one.exit_code == 0 for one in self.left_out.values())


def accept(
    folders: Sequence[Path],
    release: Path | None,
    *,
    by: str,
    because: str,
    today: date,
    rules: Path | None = None,
    new_anchor: bool = False,
) -> Acceptance:
    """Make finished runs of one recipe the baseline of the next release.

    The anchor is that of the baseline that the release was judged beside; ``new_anchor``: these runs themselves.
    UsageError where a run was not allowed, does not belong to the others or is blocked beside them.
    """
    runs = [open_finished(folder) for folder in folders]
    first = _release(folders, release)
    for at, (folder, run) in enumerate(zip(folders, runs, strict=True)):
        _check_verdict(folder, run, is_release=at == first)
        if run.run.policy.sha256 != runs[first].run.policy.sha256:
            raise UsageError(
                f"the run in {legible(folder)} was judged by {one_line(run.run.policy.file, 80)}, another policy than "
                f"that in {legible(folders[first])}; judge all runs by the same policy: harness gate {legible(folder)} "
                "--policy FILE, where the evidence holds its trials"
            )
    released = runs[first]
    others = [baseline_file.of(run.evidence) for at, run in enumerate(runs) if at != first]
    last = released.evidence.baseline
    accepted = baseline_file.of(released.evidence, accepted_by=by, because=because, accepted_on=today.isoformat())
    baseline = baseline_file.with_pool(accepted, others)
    baseline = _with_anchor(baseline, None if new_anchor else last, because if new_anchor else "")
    ordered = [released.evidence, *(run.evidence for at, run in enumerate(runs) if at != first)]
    return _judged(baseline, ordered, _gates(released.evidence, rules))


def add(baseline: Baseline, folder: Path, *, rules: Path | None = None) -> Acceptance:
    """Add a finished run to a baseline, where it is not blocked beside it; margins are made anew."""
    run = open_finished(folder)
    _check_verdict(folder, run, is_release=False)
    gates = _gates(run.evidence, rules)
    found = verdict.of(judge_all(evaluate(replace(run.evidence, baseline=baseline), gates)))
    if found.word == "blocked":
        raise UsageError(
            f"{one_line(run.run.model.name, 80)} is blocked beside the baseline: {one_line(found.sentence, 300)} "
            "It is not of the same recipe; judge it as a candidate"
        )
    whole = baseline_file.with_pool(replace(baseline, margins=()), [baseline_file.of(run.evidence)])
    return _judged(whole, [as_evidence(run.evidence, whole, at) for at in range(len(whole.accepted))], gates)


def as_evidence(evidence: Evidence, baseline: Baseline, at: int) -> Evidence:
    """Make evidence of an accepted run, on the images of another."""
    run, predictions = baseline_file.runs_of(baseline)[at], baseline.accepted[at]
    model = replace(evidence.model, name=run.model, sha256=run.sha256)
    return replace(evidence, model=model, predictions=predictions, fault="", baseline=None)


def _release(folders: Sequence[Path], release: Path | None) -> int:
    """Find the folder that holds the release."""
    if release is None:
        if len(folders) == 1:
            return 0
        raise UsageError("--release is missing: which of the runs is the one that goes into production?")
    try:
        return [folder.resolve() for folder in folders].index(release.resolve())
    except ValueError as error:
        raise UsageError(f"--release {legible(release)} is none of the runs; give one of them") from error


def _check_verdict(folder: Path, run: FinishedRun, *, is_release: bool) -> None:
    """Refuse a release that was not allowed, and any run that was blocked or lacks answers. UsageError then."""
    word = run.run.verdict.word
    if is_release and word not in ACCEPTABLE:
        shown = word.replace("_", " ")
        raise UsageError(
            f"the run in {legible(folder)} ended with {shown!r}; only a release that was allowed is accepted"
        )
    if word == "blocked":
        raise UsageError(f"the run in {legible(folder)} was blocked; leave it out, and say so in --because")
    if run.evidence.fault:
        raise UsageError(
            f"the run in {legible(folder)} lacks answers: {one_line(run.evidence.fault, 200)}; leave it out"
        )


def _with_anchor(baseline: Baseline, last: Baseline | None, because: str) -> Baseline:
    """Keep the anchor of the baseline that the release was judged beside: its own, or its runs."""
    if last is None:
        return replace(baseline, facts=replace(baseline.facts, anchor_because=because))
    if (last.facts.data_sha256, last.facts.seed) != (baseline.facts.data_sha256, baseline.facts.seed):
        raise UsageError("the anchor answered other digits; accept with --new-anchor and say in --because why it moves")
    runs = last.facts.anchor or baseline_file.runs_of(last)
    facts = replace(baseline.facts, anchor=runs, anchor_because=last.facts.anchor_because)
    return replace(baseline, facts=facts, anchor=last.anchor or last.accepted)


def _gates(evidence: Evidence, rules: Path | None) -> tuple[Gate, ...]:
    path = rules or default_policy(evidence.data, succeeds=True)
    gates = policy.load(path).gates
    return tuple(gate for gate in gates if gate.metric != "trigger_success")  # accepted runs keep no search


def _judged(baseline: Baseline, runs: Sequence[Evidence], gates: Sequence[Gate]) -> Acceptance:
    """Judge each run beside the others and fix the margins; ``runs`` in the order of the baseline."""
    left_out = _left_out(runs, gates)
    evaluation = evaluate(replace(runs[0], baseline=baseline), gates)
    margins = tuple(
        AcceptedMargin(gate.metric, gate.scope, gate.against, evaluation.margins[gate.id])
        for gate in evaluation.gates
        if gate.id in evaluation.margins
    )
    kept = tuple(gate for gate in evaluation.gates if gate.id in evaluation.margins)
    falls = dict(_falls(runs, kept)) if len(runs) > 1 else {}
    return Acceptance(
        replace(baseline, margins=margins),
        kept,
        falls,
        left_out if len(runs) >= LEAST else {},
        tuple(evaluation.missing.values()),
    )


def check_together(baseline: Baseline, evidence: Evidence, gates: Sequence[Gate]) -> None:
    """Raise UsageError where one of several runs that nobody accepted together is blocked beside the others.

    ``evidence``: of a candidate, on whose images they are judged.
    """
    runs = [as_evidence(evidence, baseline, at) for at in range(len(baseline.accepted))]
    _left_out(runs, [gate for gate in gates if gate.against])


def _left_out(runs: Sequence[Evidence], gates: Sequence[Gate]) -> dict[str, Verdict]:
    """Judge each of several runs beside the others. UsageError where one is blocked."""
    verdicts: dict[str, Verdict] = {}
    for at, run in enumerate(runs if len(runs) > 1 else ()):
        rest = [baseline_file.of(each) for each in (*runs[:at], *runs[at + 1 :])]
        beside = baseline_file.with_pool(rest[0], rest[1:])
        decision = verdict.of(judge_all(evaluate(replace(run, baseline=beside), gates)))
        verdicts[f"{run.model.name} {run.model.sha256[:10]}"] = decision
        if decision.word == "blocked":
            raise UsageError(
                f"{one_line(run.model.name, 80)} is blocked beside the other {count(len(rest), 'run')}: "
                f"{one_line(decision.sentence, 300)} Leave it out"
            )
    return verdicts


def _falls(runs: Sequence[Evidence], gates: Sequence[Gate]) -> Iterator[tuple[str, float]]:
    """Estimate the true fall that is stopped with 80 % probability, from how far two of the runs differ by chance."""
    pair = replace(runs[1], baseline=baseline_file.of(runs[0]))
    likely = NormalDist().inv_cdf(power.LIKELY)
    for gate, one in zip(gates, power.of(evaluate(pair, gates)).gates, strict=True):
        if one.detectable_above is None or one.detectable_below is None:
            continue
        margin, sure = abs(gate.threshold), NormalDist().inv_cdf(gate.confidence)
        spread = one.detectable_above / (sure + likely)
        yield gate.id, margin + one.detectable_below if gate.kind == "guard" else margin - (sure - likely) * spread
