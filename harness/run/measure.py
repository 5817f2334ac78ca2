"""Stage 2: the sweep of the candidate and, where it must be swept, of the baseline; the only stage that predicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.candidate.parent.subject import Subject
from harness.evidence import backends, baseline_file, storage, sweep
from harness.records import TRIGGER, Baseline, Evidence
from harness.run import acceptance
from harness.run.session import Session, start_subject, versions


def silent(done: int, total: int) -> None:
    """Report no progress."""


def measure(session: Session, progress: sweep.Progress = silent) -> Evidence:
    """Predict every trial of the policy with the candidate and, where one is given, with the baseline.

    Evidence that another process of this run has left in ``out`` is read instead.
    """
    if session.request.swept:
        return storage.read(session.out / "evidence")
    return beside_baseline(session, measure_candidate(session, progress), progress)


def measure_candidate(
    session: Session,
    progress: sweep.Progress = silent,
    blocks: sweep.Blocks | None = None,
    seen: sweep.Seen | None = None,
) -> Evidence:
    """Predict every trial with the candidate; ``blocks``: images shared with other candidates.

    ``seen`` is given the probabilities that are predicted here and now.
    """
    predicted = None
    if blocks is not None or seen is not None:
        blocks = blocks or sweep.own_blocks(session.dataset, session.request.seed)
        predicted = sweep.predict_locally(session.subject, session.dataset, blocks, seen=seen)
    with session.stopwatch.part("sweep"):
        return _swept(session, session.subject, session.request.model, "evidence", progress, predicted)


def beside_baseline(
    session: Session, evidence: Evidence, progress: sweep.Progress = silent, swept: dict[Path, Baseline] | None = None
) -> Evidence:
    """Add the baseline's predictions to the evidence, in memory and on disk.

    ``swept``: the predictions of model files that were swept already; those that must be swept now are added. A model
    file that is the candidate itself is not swept again. UsageError where several runs do not belong together.
    """
    if not session.baseline:
        return evidence
    swept = {} if swept is None else swept
    for number, model in enumerate(session.baseline):
        if isinstance(model, Path) and model not in swept:
            swept[model] = measure_baseline(session, model, evidence, progress, f"baseline-{number}")
    release, *others = (swept[each] if isinstance(each, Path) else each for each in session.baseline)
    baseline = baseline_file.without(baseline_file.with_pool(release, others) if others else release, evidence)
    if others and baseline.facts.data_sha256 == evidence.data.sha256:
        acceptance.check_together(baseline, evidence, session.policy.gates)
    storage.add_baseline(session.out / "evidence", baseline)
    return replace(evidence, baseline=baseline)


def measure_baseline(
    session: Session,
    model: Path,
    evidence: Evidence,
    progress: sweep.Progress,
    folder: str,
) -> Baseline:
    """Predict every trial with the baseline's model; the candidate's own evidence serves where both are one model."""
    with session.stopwatch.part("baseline"), start_subject(session.request, model, session.out, session.policy) as last:
        facts = last.facts()
        if facts.fed != evidence.model.fed:
            evidence = _swept(session, last, model, folder, progress)
    return baseline_file.of(replace(evidence, model=facts))


def _swept(
    session: Session,
    subject: Subject,
    model: Path,
    folder: str,
    progress: sweep.Progress,
    predicted: sweep.Predicted | None = None,
) -> Evidence:
    """Predict on an engine where the request names one, otherwise as ``predicted`` does, or alone."""
    request, dataset = session.request, session.dataset
    key = storage.key(subject.facts(), dataset.facts, request.seed, versions())
    store = storage.Store(session.out / folder, key, reuse=subject.hashed)
    if request.engine != backends.LOCAL:
        job = backends.make_job(
            model,
            subject.facts(),
            dataset,
            request.seed,
            limits=session.policy.limits,
            versions=versions(),
            confined=request.require_sandbox,
        )
        predicted = backends.predict_remotely(request.engine, job, dataset)
    searched = subject is session.subject and TRIGGER.name not in request.skip
    trials = [trial for trial in session.policy.trials() if searched or trial != TRIGGER]
    return sweep.measure(subject, dataset, trials, request.seed, store, progress, predicted=predicted)
