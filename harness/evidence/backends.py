"""Sweeps on an engine that is there already, through joblib's backends: the same blocks, the same bytes.

A task is one block of one trial. The candidate and the images travel once to each worker, keyed by their content; a
worker keeps its subject between tasks, and the engine replaces a worker that dies and repeats what it was doing.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeAlias

from harness.candidate.parent.limits import Limits
from harness.candidate.parent.subject import Subject
from harness.errors import Refused, SubjectFault, UsageError
from harness.evidence import sweep
from harness.formatting import one_line
from harness.records import AttackAt, Dataset, Images, ModelFacts, Probabilities, Trial

Name: TypeAlias = Literal["local", "dask", "ray"]
NAMES: tuple[Name, ...] = ("local", "dask", "ray")
_EACH, _TRIES = 4, 3  # tasks for each worker at a time, and how often they are tried
PACKAGES = {"dask": "distributed", "ray": "ray"}  # what an engine needs; the extra has the engine's name


@dataclass(frozen=True)
class Engine:
    """A backend by name, with the address of its scheduler."""

    name: Name = "local"
    scheduler: str | None = None


LOCAL = Engine()


@dataclass(frozen=True)
class SweepJob:
    """The candidate, the images and the settings of a sweep, for its workers; ``key`` is of the content."""

    key: str
    model: bytes
    name: str
    facts: ModelFacts
    limits: Limits
    images: Images
    seed: int
    versions: tuple[tuple[str, str], ...]
    confined: bool = False  # rather no answer than one from a sandbox that leaves something open


@dataclass(frozen=True)
class BlockResult:
    """The candidate's answer to one block, with the first image; or the fault."""

    rows: Probabilities | None = None
    specimen: Images | None = None
    fault: str = ""  # the candidate's
    unusable: str = ""  # anything else's


def check(engine: Engine) -> None:
    """Raise UsageError, before anything starts, where an engine cannot be asked."""
    if engine.name == "local":
        if engine.scheduler is not None:
            raise UsageError("--scheduler is the address of an engine; name it with --engine dask or --engine ray")
        return
    for package in (PACKAGES[engine.name], "joblib"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError as error:
            way = f"pip install 'digit-release-harness[{engine.name}]'"
            raise UsageError(f"--engine {engine.name} needs the package {package}; {way}") from error
    if engine.name == "dask" and engine.scheduler is None:
        raise UsageError("--engine dask needs --scheduler tcp://host:8786, the address that dask scheduler prints")


def make_job(
    path: Path,
    facts: ModelFacts,
    dataset: Dataset,
    seed: int,
    *,
    limits: Limits,
    versions: Mapping[str, str],
    confined: bool = False,
) -> SweepJob:
    """Pack a sweep for its workers. UsageError where the file is none, or no longer the one that was loaded here."""
    if not path.is_file():
        raise UsageError(f"{one_line(str(path))} is not one file; an engine's workers take .keras and .h5 files")
    model = path.read_bytes()
    if sha256(model).hexdigest() != facts.sha256:
        raise UsageError(f"{one_line(path.name)} changed while it was read; run again on a finished file")
    own = tuple(sorted(versions.items()))
    parts = (facts.preprocess, facts.fed, dataset.facts.sha256, seed, limits, own, confined)
    key = sha256(repr(parts).encode()).hexdigest()
    return SweepJob(key, model, path.name, facts, limits, dataset.images, seed, own, confined)


def predict_remotely(engine: Engine, job: SweepJob, dataset: Dataset) -> sweep.Predicted:
    """Predict on the engine's workers."""
    n, places = len(dataset.images), sweep.starts(dataset)

    def predicted(trials: Sequence[Trial], progress: sweep.Progress) -> Iterator[tuple[Trial, sweep.TrialArrays]]:
        if attacks := sorted({trial.name for trial in trials if isinstance(trial, AttackAt)}):
            raise UsageError(
                f"{', '.join(attacks)} cannot be sent to an engine; take --engine local, or leave them out"
            )
        progress(0, n * len(trials))
        with _ENGINES[engine.name](engine, job) as sent:
            answers = _answers(sent, [(trial, start) for trial in trials for start in places])
            for number, trial in enumerate(trials):
                parts, specimens = [], []
                for start in places:
                    rows, specimen = _checked(next(answers), min(sweep.BLOCK, n - start))
                    parts.append(sweep.answers_to_block(trial, rows))
                    specimens.append(specimen)
                    progress(number * n + min(start + sweep.BLOCK, n), n * len(trials))
                yield trial, sweep.arrays_of(trial, parts, specimens[0])

    return predicted


def _answers(sent: Any, tasks: Sequence[tuple[Trial, int]]) -> Iterator[BlockResult]:
    """Run the tasks in order, a few for each worker at a time, so that memory is flat in their number.

    Where an engine lets go of its workers instead of replacing one, they are asked for anew and the few repeated.
    """
    from joblib import Parallel, delayed, effective_n_jobs

    few, at, failures = _EACH * effective_n_jobs(-1), 0, 0
    while at < len(tasks):
        try:
            with Parallel(n_jobs=-1, batch_size=1) as parallel:
                while at < len(tasks):
                    done = parallel(delayed(answer)(sent, trial, start) for trial, start in tasks[at : at + few])
                    at, failures = at + len(done), 0
                    yield from done
        except Exception as error:  # the engine's own: what a candidate does is told in values
            failures += 1
            if failures == _TRIES:
                raise UsageError(f"the engine failed {_TRIES} times at one place: {_in_words(error)}") from error


def answer(sent: Any, trial: Trial, start: int) -> BlockResult:
    """Predict one block in a worker. Faults travel as values: an exception would make an engine try again."""
    try:
        job: SweepJob = sent if isinstance(sent, SweepJob) else _fetched(sent)
        images = sweep.block(job.images, trial, job.seed, start)
        return BlockResult(_subject(job).predict(images), images[:1].copy())
    except (SubjectFault, Refused) as error:
        return BlockResult(fault=str(error))
    except UsageError as error:
        return BlockResult(unusable=str(error))


def _checked(result: BlockResult, n: int) -> tuple[Probabilities, Images]:
    if result.unusable:
        raise UsageError(f"a worker of the engine cannot help: {result.unusable}")
    if result.fault:
        raise SubjectFault(result.fault)
    if result.rows is None or result.specimen is None or result.rows.shape[:1] != (n,):
        raise SubjectFault("a worker of the engine sent a block of another size")
    return result.rows, result.specimen


@contextlib.contextmanager
def _dask(engine: Engine, job: SweepJob) -> Iterator[SweepJob]:
    from joblib import parallel_config

    try:
        context = parallel_config(backend="dask", scheduler_host=engine.scheduler, scatter=[job])
    except (OSError, ValueError) as error:  # no such address, nobody there, no workers
        raise UsageError(
            f"no Dask scheduler answers at {one_line(str(engine.scheduler))}: {_in_words(error)}"
        ) from error
    with context:
        yield job


@contextlib.contextmanager
def _ray(engine: Engine, job: SweepJob) -> Iterator[Any]:
    import ray
    from joblib import parallel_config
    from ray.util.joblib import register_ray

    ours = not ray.is_initialized()
    try:
        if ours:
            ray.init(address=engine.scheduler, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise UsageError(f"no Ray cluster answers at {one_line(str(engine.scheduler))}: {_in_words(error)}") from error
    register_ray()
    try:
        with parallel_config(backend="ray"):
            yield ray.put(job)
    finally:
        if ours:
            ray.shutdown()


_ENGINES: dict[str, Callable[[Engine, SweepJob], AbstractContextManager[Any]]] = {"dask": _dask, "ray": _ray}


def _fetched(reference: Any) -> SweepJob:
    import ray

    job: SweepJob = ray.get(reference)
    return job


def _in_words(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}", 160)


class _Kept:
    """The subject that this worker keeps between tasks."""

    key = ""
    subject: Subject | None = None
    lock = threading.Lock()


def _subject(job: SweepJob) -> Subject:
    with _Kept.lock:
        if _Kept.subject is None or _Kept.key != job.key:
            _forget()
            _same_versions(job)
            _Kept.subject, _Kept.key = _started(job), job.key
        return _Kept.subject


def _started(job: SweepJob) -> Subject:
    subject = Subject.start_from(job.model, job.facts, job.name, limits=job.limits, confined=job.confined)
    if subject.facts().fed != job.facts.fed:
        subject.close()
        raise UsageError(f"the preprocessing {one_line(job.facts.preprocess)} is another there than here")
    return subject


def _same_versions(job: SweepJob) -> None:
    """Raise UsageError where a package that can change a prediction has another version than at the caller."""
    for package, wanted in job.versions:
        if package in ("keras", "tensorflow", "numpy", "scipy"):
            with contextlib.suppress(metadata.PackageNotFoundError):
                if metadata.version(package) == wanted:
                    continue
            raise UsageError(f"it has not {package} {wanted}, which this machine has; install the same on all")


@atexit.register
def _forget() -> None:
    if _Kept.subject is not None:
        _Kept.subject.close()
    _Kept.key, _Kept.subject = "", None
