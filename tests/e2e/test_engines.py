"""Sweeps on an engine: the same bytes as here, whatever dies; what cannot work is refused in one line.

Those on Dask and Ray run where these are installed: ``tox -e engines``.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from harness.candidate.parent.limits import Limits
from harness.candidate.parent.subject import Subject
from harness.cli import main
from harness.corruptions import trial_at
from harness.errors import SubjectFault, UsageError
from harness.evidence import backends, storage, sweep
from harness.evidence.backends import Engine, SweepJob
from harness.records import CLEAN, Dataset, Trial
from harness.run.session import versions
from tests.support.commands import ENTRY, python

SEVERITIES = range(1, 6)
TRIALS = (CLEAN, *(trial_at(name, level) for name in ("gaussian_noise", "fog", "stripe") for level in SEVERITIES))
Packed = Callable[[Subject], SweepJob]


@pytest.fixture
def few(embedded: Dataset) -> Dataset:
    """Return 400 digits, which the workers of every engine cut into the same blocks as this process."""
    return replace(embedded, images=embedded.images[:400], labels=embedded.labels[:400])


@pytest.fixture
def subject(reference_model: Path, fork_server: Path) -> Iterator[Subject]:
    with Subject.start(reference_model) as started:
        yield started


@pytest.fixture
def packed(reference_model: Path, few: Dataset) -> Packed:
    return lambda subject: backends.make_job(
        reference_model, subject.facts(), few, 1, limits=Limits(), versions=versions()
    )


def left(folder: Path, subject: Subject, dataset: Dataset, predicted: sweep.Predicted | None) -> dict[str, bytes]:
    """Sweep, and return the bytes of every file of the evidence."""
    store = storage.Store(folder, "key")
    sweep.measure(subject, dataset, TRIALS, 1, store, lambda done, total: None, predicted=predicted)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# one task, without an engine


def test_a_worker_keeps_its_subject_and_answers_as_the_subject_here_does(
    subject: Subject, packed: Packed, few: Dataset
) -> None:
    job, trial = packed(subject), trial_at("fog", 3)
    with contextlib.closing(_Forgotten()):
        first = backends.answer(job, trial, 0)
        kept = backends._Kept.subject
        backends.answer(job, CLEAN, 0)

        assert backends._Kept.subject is kept
    assert first.rows is not None
    assert np.array_equal(first.rows, subject.predict(sweep.block(few.images, trial, 1, 0)))


class _Forgotten:
    """Cache of this process, as a worker, that is cleared."""

    def close(self) -> None:
        backends._forget()


@pytest.mark.parametrize(
    ("trial", "version", "expected"),
    [(trial_at("no.such:thing", 1), None, "no.such:thing"), (CLEAN, "1.0", "tensorflow 1.0")],
)
def test_what_a_worker_lacks_is_told_not_raised(
    trial: Trial, version: str | None, expected: str, subject: Subject, packed: Packed
) -> None:
    job = packed(subject)
    if version:
        job = replace(job, key="other", versions=(("tensorflow", version),))
    with contextlib.closing(_Forgotten()):
        found = backends.answer(job, trial, 0)

    assert expected in found.unusable
    with pytest.raises(UsageError, match="a worker of the engine cannot help"):
        backends._checked(found, 400)


def test_a_worker_whose_candidate_dies_tells_it_as_the_candidates_fault(subject: Subject, packed: Packed) -> None:
    job = packed(subject)
    with contextlib.closing(_Forgotten()):
        backends.answer(job, CLEAN, 0)
        assert backends._Kept.subject is not None
        backends._Kept.subject.close()
        found = backends.answer(job, CLEAN, 0)

    with pytest.raises(SubjectFault):
        backends._checked(found, 400)


def test_a_model_that_changed_since_it_was_loaded_is_not_sent(
    subject: Subject, few: Dataset, reference_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "m.keras").write_bytes(reference_model.read_bytes() + b" ")

    with pytest.raises(UsageError, match="changed while it was read"):
        backends.make_job(tmp_path / "m.keras", subject.facts(), few, 1, limits=Limits(), versions={})


# the command line


def _installed(*names: str) -> Callable[[str], str]:
    def version(name: str) -> str:
        if name not in names:
            raise metadata.PackageNotFoundError(name)
        return "1"

    return version


@pytest.mark.parametrize(
    ("words", "installed", "expected"),
    [
        (["--engine", "dask", "--scheduler", "tcp://h:1"], ["joblib"], r"pip install 'digit-release-harness\[dask\]'"),
        (["--engine", "ray"], ["joblib"], r"pip install 'digit-release-harness\[ray\]'"),
        (["--engine", "dask"], ["joblib", "distributed"], "--engine dask needs --scheduler tcp://"),
        (["--scheduler", "tcp://h:1"], [], "name it with --engine dask"),
    ],
)
def test_an_engine_that_cannot_be_asked_is_one_line(
    words: list[str],
    installed: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(metadata, "version", _installed(*installed))

    code = main(["run", "m.keras", *words])

    said = capsys.readouterr().err
    assert code == 4
    assert said.count("\n") == 1
    assert re.search(expected, said)


# engines


POLICY = """format = 1
name = "many trials"
[[gate]]
metric = "worst_case_accuracy"
corruption = "brightness_offset"
within = 40
at_least = 0.5
because = "cameras differ"
[[gate]]
metric = "accuracy"
corruption = "gaussian_noise"
severity = 3
at_least = 0.5
because = "noise"
"""


def run(model: Path, folder: Path, *words: str) -> subprocess.Popen[str]:
    """A whole run in a folder of its own, whose outputs lie in ``out``."""
    folder.mkdir()
    (folder / "p.toml").write_text(POLICY)
    given = ["run", str(model), "--data", "embedded", "--policy", "p.toml", "--quiet", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen([*python(ENTRY), *given], cwd=folder, stderr=pipe, text=True)


def outputs(folder: Path) -> dict[str, bytes]:
    """Read every file but those of time, machine and lock."""
    out = folder / "out"
    kept = (path for path in out.rglob("*") if path.is_file() and path.name not in ("session.json", ".lock"))
    return {str(path.relative_to(out)): path.read_bytes() for path in kept if path.suffix != ".html"}


@pytest.fixture
def here(reference_model: Path, fork_server: Path, tmp_path: Path) -> dict[str, bytes]:
    """Return the outputs of a run without an engine."""
    process = run(reference_model, tmp_path / "here")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 5, said
    return outputs(tmp_path / "here")


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed: tox -e engines")


@needs("distributed")
def test_two_dask_workers_one_killed_leave_the_same_bytes(
    reference_model: Path, here: dict[str, bytes], tmp_path: Path
) -> None:
    import distributed

    evidence = tmp_path / "there" / "out" / "evidence"
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        process = run(reference_model, tmp_path / "there", "--engine", "dask", "--scheduler", cluster.scheduler_address)
        while len([*evidence.glob("trial-*.npz")]) < 10 and process.poll() is None:
            time.sleep(0.01)
        measured = len([*evidence.glob("trial-*.npz")])
        os.kill(cluster.workers[0].process.pid, signal.SIGKILL)
        _, said = process.communicate(timeout=300)

    assert process.returncode == 5, said
    assert 10 <= measured < len([*evidence.glob("trial-*.npz")])
    assert outputs(tmp_path / "there") == here


@needs("ray")
def test_two_ray_workers_leave_the_same_bytes(reference_model: Path, here: dict[str, bytes], tmp_path: Path) -> None:
    process = run(reference_model, tmp_path / "there", "--engine", "ray")
    _, said = process.communicate(timeout=300)

    assert process.returncode == 5, said
    assert outputs(tmp_path / "there") == here


def test_a_scheduler_that_is_not_there_is_one_line(subject: Subject, packed: Packed, few: Dataset) -> None:
    dask = pytest.importorskip("dask")
    predicted = backends.predict_remotely(Engine("dask", "tcp://127.0.0.1:9"), packed(subject), few)

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(UsageError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        next(iter(predicted(TRIALS, lambda done, total: None)))
