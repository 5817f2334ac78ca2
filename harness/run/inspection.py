"""One judging of one candidate: what the suites, the plugin and the commands share, made when first asked for."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from harness import __version__, metrics, policy
from harness.candidate.parent.limits import Limits
from harness.candidate.parent.subject import REFERENCE, Subject
from harness.corruptions import CORRUPTIONS, prepare
from harness.data import sources
from harness.errors import UsageError
from harness.evidence import backends, baseline_file, last_release, storage, sweep
from harness.evidence.storage import Store
from harness.files import forget_drafts, shipped_folder
from harness.formatting import one_line
from harness.judging import contamination, controls, gates, label_issues, power, simulation, verdict
from harness.metrics import changes
from harness.metrics.diagnostics import diagnostics
from harness.outputs import run_json
from harness.records import CLEAN, Baseline, Dataset, Evidence, Finding, Matrix, ModelFacts, Run, Session
from harness.sandbox import temporary

POLICIES = {"embedded": "embedded.toml"}  # by origin of the data; every other kind is full MNIST
SUCCESSORS = {"embedded": "embedded_successor.toml"}  # the same, where there is a release to be held against
SEED = 2026
OUTPUTS = ("run.json", "report.html", "junit.xml", "session.json")


@dataclass(frozen=True)
class Request:
    """What the user asked for; None means the default."""

    model: Path
    data: str | None = None
    policy: Path | None = None
    out: Path | None = None
    preprocess: str | None = None
    seed: int = SEED
    own_split: bool = False  # the candidate was trained on the training part of this very data, by us
    baseline: Path | None = None  # the last release: its model file, the folder of its run, or an accepted file
    require_sandbox: bool = False  # rather no run than one whose sandbox leaves something open
    allow_code: bool = False  # the candidate may be a function, which is run to make the model
    engine: backends.Engine = backends.LOCAL  # where the sweep is done
    fork_server: Path | None = None  # the address of a process to fork candidates from
    swept: bool = False  # another process of this run has left the evidence in ``out``


class Inspection:
    """Starts the candidate's child at once; loads data and policy while it starts."""

    def __init__(
        self, request: Request, progress: sweep.Progress | None = None, dataset: Dataset | None = None
    ) -> None:
        self.request = request
        self.blocks: sweep.Blocks | None = None  # where other candidates of this run are given the same images
        self.seconds: dict[str, float] = {}
        self.run: Run | None = None  # set when the verdict is known
        self.broken: UsageError | None = None  # why the sweep cannot be made
        self._progress = progress or (lambda done, total: None)
        self._began = time.monotonic()
        self._ends = ExitStack()
        self.out = request.out or self._ends.enter_context(temporary.temporary())
        self._subject: Subject | None = None
        self._lock: FileLock | None = None
        self.policy = policy.load(request.policy) if request.policy else None
        self._last = last_release.find(request.baseline) if request.baseline else None
        try:
            limits = self.policy.limits if self.policy else None
            self._subject = self._started(request.model, limits)
            self.dataset: Dataset = dataset or sources.load(request.data)
            succeeds = self._last is not None
            self.policy = self.policy or policy.load(default_policy(self.dataset.origin, succeeds=succeeds))
            policy.check_against(self.policy, self.dataset.facts)
            tabled = {trial.corruption for trial in self.policy.trials()} & CORRUPTIONS.keys()
            if not request.swept and request.engine == backends.LOCAL:  # while the child starts
                threading.Thread(target=prepare, args=(tabled,), daemon=True).start()
        except BaseException:
            self.close()
            raise

    def _started(self, model: Path, limits: Limits | None) -> Subject:
        """A child that cannot see the labels, nor what this run writes."""
        return Subject.start(
            model,
            preprocess=REFERENCE if self.request.preprocess is None else self.request.preprocess,
            limits=limits,
            hidden=[*sources.places(self.request.data), self.out],
            confined=self.request.require_sandbox,
            allow_code=self.request.allow_code,
            fork_server=self.request.fork_server,
        )

    @property
    def subject(self) -> Subject:
        assert self._subject is not None
        return self._subject

    @cached_property
    def model(self) -> ModelFacts:
        """Waits until the candidate is loaded; UsageError where it does not load."""
        facts = self.subject.facts()
        self.seconds["start"] = time.monotonic() - self._began
        return facts

    @cached_property
    def evidence(self) -> Evidence:
        """Runs the sweep, or reads what it left."""
        return self.measured()

    def measured(self) -> Evidence:
        """The evidence, without being kept: to be asked for by several threads, of which each has its inspection."""
        assert self.policy is not None
        if self.request.swept:
            return storage.read(self.out / "evidence")
        began = time.monotonic()
        content_key = storage.key(self.model, self.dataset.facts, self.request.seed, versions())
        try:
            store = Store(self.out / "evidence", content_key, reuse=self.subject.hashed)
            found = self._swept(self.subject, self.request.model, store)
            if self._last is not None:
                found = replace(found, baseline=self._compared(found, self._last))
                store.finish(found)
        except UsageError as error:
            self.broken = error
            raise
        self.seconds["sweep"] = time.monotonic() - began
        return found

    def _swept(self, subject: Subject, model: Path, store: Store) -> Evidence:
        """Where the request says: on an engine, on images shared with other candidates, or on its own."""
        assert self.policy is not None
        seed, predicted = self.request.seed, None
        if self.request.engine != backends.LOCAL:
            cargo = backends.make_job(
                model,
                subject.facts(),
                self.dataset,
                seed,
                limits=self.policy.limits,
                versions=versions(),
                confined=self.request.require_sandbox,
            )
            predicted = backends.predict_remotely(self.request.engine, cargo, self.dataset)
        elif self.blocks is not None and subject is self._subject:
            predicted = sweep.predict_locally(subject, self.dataset, self.blocks)
        trials = self.policy.trials()
        return sweep.measure(subject, self.dataset, trials, seed, store, self._progress, predicted=predicted)

    def _compared(self, found: Evidence, last: Baseline | Path) -> Baseline:
        """The last release's answers; a model file is swept as the candidate was, or is the candidate itself."""
        if isinstance(last, Baseline):
            return last
        assert self.policy is not None
        began = time.monotonic()
        with self._started(last, self.policy.limits) as subject:
            facts = subject.facts()
            same = (facts.sha256, facts.preprocess_sha256) == (found.model.sha256, found.model.preprocess_sha256)
            if not same:
                content_key = storage.key(facts, self.dataset.facts, self.request.seed, versions())
                store = Store(self.out / "baseline", content_key, reuse=subject.hashed)
                found = self._swept(subject, last, store)
        self.seconds["baseline"] = time.monotonic() - began
        return baseline_file.of(found)

    @cached_property
    def gates(self) -> Mapping[str, Finding]:
        """Every gate of the policy, judged; by gate id."""
        assert self.policy is not None
        return {f.gate.id: f for f in gates.judge_all(self.evidence, self.policy.gates) if f.gate is not None}

    def claim(self) -> None:
        """Take ``out`` for this run alone, and remove what an earlier one said there."""
        self._lock = self._lock or hold(self.out)
        withdraw(self.out)

    def close(self) -> None:
        """End the child; forget what was kept only for this run."""
        if self._lock is not None:
            self._lock.release()
        if self._subject is not None:
            self._subject.close()
        self._ends.close()


def default_policy(origin: str, *, succeeds: bool = False) -> Path:
    """The shipped policy for data of this origin: for a first release, or for one that ``succeeds`` another."""
    name = SUCCESSORS.get(origin, "successor.toml") if succeeds else POLICIES.get(origin, "release.toml")
    return shipped_folder("suites") / name


def compose(found: Evidence, rules: policy.Policy, findings: Sequence[Finding], command: str) -> Run:
    """The Run: what was judged, by what, with what result."""
    confusion: Matrix = ()
    if CLEAN in found.answers:
        confusion = metrics.confusion_matrix(found.labels, found.answers[CLEAN])
    estimates = simulation.estimates_of(found, rules.gates)
    before = contamination.finding(found)
    findings = [*(one for one in findings if before is None or one.id != before.id), *([before] if before else [])]
    doubted = label_issues.of(found, findings)
    findings = [*findings, *controls.findings(found, rules.gates, rules.trials())]
    return Run(
        model=found.model,
        data=found.data,
        policy=rules.facts,
        seed=found.seed,
        versions=versions(),
        command=command,
        verdict=verdict.of(findings, doubted),
        findings=tuple(findings),
        measurements=metrics.table(found),
        confusion=confusion,
        sandbox=found.sandbox,
        power=simulation.simulate(power.of(rules.gates, estimates), found, rules.gates, estimates),
        baseline=found.baseline.facts if found.baseline else None,
        changes=changes.change_table(found),
        suspects=doubted,
        diagnostics=diagnostics(found),
    )


def versions() -> dict[str, str]:
    """Of what can change a number; read from the installed packages, without importing them."""
    names = ("keras", "tensorflow", "numpy", "scipy", "scikit-learn", "hypothesis", "pytest")
    return {"harness": __version__, "python": platform.python_version(), **{name: _version(name) for name in names}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def session(seconds: Mapping[str, float], images: int) -> Session:
    """When, where and how long, as of now."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"
    per_image = seconds.get("sweep", 0.0) / images if images else 0.0
    return Session(now, machine, {name: round(value, 3) for name, value in seconds.items()}, per_image)


def write(out: Path, run: Run, when: Session, found: Evidence) -> None:
    """Leave session.json, junit.xml, report.html and, last, run.json in ``out``; all made before one is replaced."""
    from harness import report
    from harness.files import write_together
    from harness.outputs import junit

    made = {
        "session.json": run_json.dump_session(when),
        "junit.xml": junit.render(run),
        "report.html": report.render(run, found, when).encode(),
        "run.json": run_json.dump(run),
    }
    write_together({out / name: content for name, content in made.items()})


def hold(out: Path) -> FileLock:
    """Keep other runs out of a folder until released, or until this process ends: two would mix their evidence."""
    lock, shown = FileLock(out / "evidence" / ".lock"), one_line(str(out), 200)
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout as error:
        raise UsageError(
            f"{shown} is in use by another run; wait until it has ended, or choose another --out"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot write into {shown}: {error.strerror}; choose another --out") from error
    return lock


def withdraw(out: Path) -> None:
    """Remove what could be read as the verdict of this run while it is not one, and what a killed run left of it."""
    forget_drafts(out, *OUTPUTS)
    for name in OUTPUTS:
        try:
            (out / name).unlink(missing_ok=True)
        except OSError as error:
            shown = one_line(str(out / name), 200)
            raise UsageError(f"{shown} cannot be replaced: {error.strerror}; choose another --out") from error
