"""Candidate files: copied once, and the copy is what is loaded and recorded."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.candidate.parent import candidate_file
from harness.candidate.parent.subject import Subject
from harness.errors import UsageError


def test_what_is_swapped_after_the_copy_is_neither_loaded_nor_recorded(
    reference_model: Path, fork_server: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(reference_model.read_bytes())

    with Subject.start(path) as subject:
        path.write_bytes(b"another model")
        facts = subject.facts()

    assert facts.sha256 == hashlib.sha256(reference_model.read_bytes()).hexdigest()
    assert (facts.size, facts.name, facts.parameters) == (reference_model.stat().st_size, "model.keras", 34_826)


def test_the_copy_is_private_and_gone_when_the_subject_is_closed(
    reference_model: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Subject.start(reference_model):
        (scratch,) = tmp_path.iterdir()

        assert scratch.name.startswith("harness-")
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o700

    assert not list(tmp_path.iterdir())


def test_the_copy_of_a_refused_candidate_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(UsageError):
        Subject.start(tmp_path / "absent.keras")

    assert not list(tmp_path.iterdir())


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path)


def line(path: Path) -> None:
    socket.socket(socket.AF_UNIX).bind(str(path))


def link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


@pytest.mark.parametrize("make", [pipe, endless, loop, line, link_to_a_pipe])
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_what_is_no_file_is_refused_at_once(make: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    make(tmp_path / name)

    with pytest.raises(UsageError, match=r"is not a file|cannot be read") as caught:
        candidate_file.copy_candidate(tmp_path / name, tmp_path / "scratch")

    assert str(caught.value).isprintable()
    assert not list((tmp_path / "scratch").iterdir())


def test_a_file_that_is_too_large_is_refused_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate_file, "MAX_BYTES", 3000)
    (tmp_path / "scratch").mkdir()
    for size in (3000, 3001):
        (tmp_path / f"{size}.h5").write_bytes(bytes(size))

    assert candidate_file.copy_candidate(tmp_path / "3000.h5", tmp_path / "scratch").size == 3000
    with pytest.raises(UsageError, match="is larger than"):
        candidate_file.copy_candidate(tmp_path / "3001.h5", tmp_path)


def test_a_link_to_a_model_is_followed_and_goes_by_its_own_name(reference_model: Path, tmp_path: Path) -> None:
    (tmp_path / "latest.keras").symlink_to(reference_model)

    taken = candidate_file.copy_candidate(tmp_path / "latest.keras", tmp_path)

    assert (taken.name, taken.size) == ("latest.keras", reference_model.stat().st_size)


def test_what_a_repository_keeps_beside_a_model_is_left_out(reference_model: Path, tmp_path: Path) -> None:
    for folder in ("bare", "repository"):
        with zipfile.ZipFile(reference_model) as archive:
            archive.extractall(tmp_path / folder)
    for name in (".gitattributes", ".DS_Store", "README.md", "LICENSE", "model.png", ".cache/huggingface/x.lock"):
        path = tmp_path / "repository" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    hashes = []
    for folder in ("bare", "repository"):
        (tmp_path / f"copy-{folder}").mkdir()
        hashes.append(candidate_file.copy_candidate(tmp_path / folder, tmp_path / f"copy-{folder}").sha256)

    assert hashes[0] == hashes[1]
