"""A sweep of a real candidate: it can be asked again afterwards, and its blocks fit into the pipe."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.candidate.parent.subject import Subject
from harness.evidence import sweep
from harness.records import CLEAN, Dataset
from tests.unit.evidence.test_sweep import measured


def test_the_subject_can_be_asked_again_after_a_sweep(
    reference_model: Path, fork_server: Path, embedded: Dataset, tmp_path: Path
) -> None:
    few = replace(embedded, images=embedded.images[:250], labels=embedded.labels[:250])
    with Subject.start(reference_model) as subject:
        found = measured(subject, few, tmp_path / "e")

        assert np.array_equal(subject.predict(few.images).argmax(axis=1), found.answers[CLEAN])


def test_a_block_fits_into_the_pipe_to_the_worker(reference_model: Path, fork_server: Path) -> None:
    with Subject.start(reference_model) as subject:
        size = fcntl.fcntl(subject._child.stdin, fcntl.F_GETPIPE_SZ)

        assert size > sweep.BLOCK * 28 * 28
