"""Sweeps on an engine: the same bytes as here, whatever dies; what cannot work is refused in one line.

Those on Dask and Ray run where these are installed: ``tox -e engines``.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from harness import evidence, sweep
from harness.cli import main
from harness.inspection import versions
from harness.records import CLEAN, Dataset, Trial, Unusable
from harness.subject import Limits, Subject, SubjectFault
from harness.sweep import engines
from harness.sweep.engines import Cargo, Engine

SEVERITIES = range(1, 6)
TRIALS = (CLEAN, *(Trial(name, (level,)) for name in ("gaussian_noise", "fog", "stripe") for level in SEVERITIES))
Packed = Callable[[Subject], Cargo]


@pytest.fixture
def few(embedded: Dataset) -> Dataset:
    """Every engine's workers cut them into blocks as it is done here."""
    return replace(embedded, images=embedded.images[:400], labels=embedded.labels[:400])


@pytest.fixture
def subject(reference_model: Path, nursery: None) -> Iterator[Subject]:
    with Subject.start(reference_model) as started:
        yield started


@pytest.fixture
def packed(reference_model: Path, few: Dataset) -> Packed:
    return lambda subject: engines.load(reference_model, subject.facts(), few, 1, limits=Limits(), versions=versions())


def left(folder: Path, subject: Subject, dataset: Dataset, predicted: sweep.Predicted | None) -> dict[str, bytes]:
    """Every file of the evidence."""
    store = evidence.Store(folder, "key")
    sweep.measure(subject, dataset, TRIALS, 1, store, lambda done, total: None, predicted=predicted)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# one task, without an engine


def test_a_worker_keeps_its_subject_and_answers_as_the_subject_here_does(
    subject: Subject, packed: Packed, few: Dataset
) -> None:
    cargo, trial = packed(subject), Trial("fog", (3,))
    with contextlib.closing(_Forgotten()):
        first = engines.answer(cargo, trial, 0)
        kept = engines._Kept.subject
        engines.answer(cargo, CLEAN, 0)

        assert engines._Kept.subject is kept
    assert first.rows is not None
    assert np.array_equal(first.rows, subject.predict(sweep.block(few.images, trial, 1, 0)))


class _Forgotten:
    """What this process, as a worker, has kept is let go."""

    def close(self) -> None:
        engines._forget()


@pytest.mark.parametrize(
    ("trial", "version", "expected"),
    [(Trial("no.such:thing", (1,)), None, "no.such:thing"), (CLEAN, "1.0", "tensorflow 1.0")],
)
def test_what_a_worker_lacks_is_told_not_raised(
    trial: Trial, version: str | None, expected: str, subject: Subject, packed: Packed
) -> None:
    cargo = packed(subject)
    if version:
        cargo = replace(cargo, key="other", versions=(("tensorflow", version),))
    with contextlib.closing(_Forgotten()):
        found = engines.answer(cargo, trial, 0)

    assert expected in found.unusable
    with pytest.raises(Unusable, match="a worker of the engine cannot help"):
        engines._checked(found, 400)


def test_a_worker_whose_candidate_dies_tells_it_as_the_candidates_fault(subject: Subject, packed: Packed) -> None:
    cargo = packed(subject)
    with contextlib.closing(_Forgotten()):
        engines.answer(cargo, CLEAN, 0)
        assert engines._Kept.subject is not None
        engines._Kept.subject.close()
        found = engines.answer(cargo, CLEAN, 0)

    with pytest.raises(SubjectFault):
        engines._checked(found, 400)


def test_a_model_that_changed_since_it_was_loaded_is_not_sent(
    subject: Subject, few: Dataset, reference_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "m.keras").write_bytes(reference_model.read_bytes() + b" ")

    with pytest.raises(Unusable, match="changed while it was read"):
        engines.load(tmp_path / "m.keras", subject.facts(), few, 1, limits=Limits(), versions={})


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


def test_two_dask_workers_one_killed_leave_the_same_bytes(
    subject: Subject, packed: Packed, few: Dataset, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    here = left(tmp_path / "here", subject, few, None)
    cargo = packed(subject)
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        if not killed and done > total // 3:
            killed.append(cluster.workers[0].process.pid)
            os.kill(killed[0], signal.SIGKILL)

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        predicted = engines.there(Engine("dask", cluster.scheduler_address), cargo, few)
        there = left(tmp_path / "there", subject, few, lambda trials, _: predicted(trials, kill))

    assert killed
    assert there == here


def test_two_ray_workers_leave_the_same_bytes(subject: Subject, packed: Packed, few: Dataset, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    here = left(tmp_path / "here", subject, few, None)
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        there = left(tmp_path / "there", subject, few, engines.there(Engine("ray"), packed(subject), few))
    finally:
        ray.shutdown()

    assert there == here


def test_a_scheduler_that_is_not_there_is_one_line(subject: Subject, packed: Packed, few: Dataset) -> None:
    dask = pytest.importorskip("dask")
    predicted = engines.there(Engine("dask", "tcp://127.0.0.1:9"), packed(subject), few)

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(Unusable, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
    ):
        next(iter(predicted(TRIALS, lambda done, total: None)))
