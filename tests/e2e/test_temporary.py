"""A candidate's scratch folder: nobody removes one that is in use, and one that was left behind is removed."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.candidate.parent.subject import Subject
from harness.files import shipped_folder
from harness.sandbox import temporary
from tests.e2e.test_crash import POLICY, children, descendants, lives, start, wait_for


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A scratch folder that is held."""
    path = tmp_path / temporary.name()
    held = temporary.make(path)
    yield path
    os.close(held)


def test_a_folder_that_is_held_is_left_alone(folder: Path) -> None:
    temporary.clear(folder.parent)

    assert folder.exists()


def test_a_folder_is_held_until_the_last_lets_go(tmp_path: Path) -> None:
    folder = tmp_path / temporary.name()
    first = temporary.make(folder)
    second = temporary.hold(folder)
    os.close(first)
    temporary.clear(tmp_path)
    kept = folder.exists()
    os.close(second)
    temporary.clear(tmp_path)

    assert (kept, folder.exists()) == (True, False)


@pytest.mark.parametrize("name", ["harness-candidate-0", "harness-0123456789abcdef", "candidate", "harness-candidate-"])
def test_a_folder_of_another_name_is_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()

    temporary.clear(tmp_path)

    assert (tmp_path / name).exists()


def test_a_link_by_the_name_of_a_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    link = tmp_path / temporary.name()
    link.symlink_to(tmp_path / "mine")

    temporary.clear(tmp_path)

    assert link.is_symlink()
    assert (tmp_path / "mine").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / temporary.name()
    folder.mkdir()
    os.chown(folder, 12345, 12345)

    temporary.clear(tmp_path)

    assert folder.exists()


def test_what_a_candidate_locked_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / temporary.name()
    (folder / "work" / "deep").mkdir(parents=True)
    (folder / "work" / "deep" / "file").touch()
    (folder / "work" / "deep").chmod(0)
    (folder / "work").chmod(0o500)

    temporary.clear(tmp_path)

    assert not folder.exists()


def test_to_remove_a_folder_that_is_gone_changes_nothing_around_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    temporary.remove(tmp_path / temporary.name())

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_file_outside_that_a_link_names_keeps_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse the removal of the link at once, since root could always do it."""
    folder, outside = tmp_path / temporary.name(), tmp_path / "key"
    folder.mkdir()
    outside.touch(mode=0o640)
    (folder / "link").symlink_to(outside)
    unlink = os.unlink

    def refused(path: str, **where: int) -> None:
        if "dir_fd" in where:
            raise PermissionError(13, "Permission denied", path)
        unlink(path, **where)

    monkeypatch.setattr("os.unlink", refused)
    temporary.remove(folder)

    assert stat.S_IMODE(outside.stat().st_mode) == 0o640


def test_the_folder_of_a_run_killed_together_with_its_supervisor_is_removed_by_the_next(
    reference_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(home))
    process = start(reference_model, tmp_path / "out", forked=False)
    wait_for(lambda: len(descendants(process.pid)) >= 3 and any(home.glob("*/candidate.keras")))
    started = descendants(process.pid)
    process.send_signal(signal.SIGSTOP)  # so that neither has time to see the other's end
    for supervisor in children(process.pid):
        os.kill(supervisor, signal.SIGKILL)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not any(map(lives, started)), seconds=60)
    left = list(home.iterdir())

    with Subject.start(reference_model):
        assert left
        assert not set(left) & set(home.iterdir())
    assert not list(home.iterdir())


def test_a_killed_run_over_many_leaves_no_process_and_the_next_removes_its_folder(
    reference_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, models = tmp_path / ("a-name-that-makes-the-path-of-a-socket-too-long" * 2), tmp_path / "models"
    home.mkdir()
    models.mkdir()
    for name in ("a.keras", "b.keras"):
        (models / name).write_bytes(reference_model.read_bytes())
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(home))
    process = start(models, tmp_path / "out", forked=False)
    wait_for(lambda: any(home.glob("*/candidate.keras")) and len(descendants(process.pid)) >= 3)
    started = descendants(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    wait_for(lambda: not any(map(lives, started)), seconds=60)
    assert (len(started) >= 3, any(home.iterdir())) == (True, True)
    with Subject.start(reference_model):
        pass
    assert not list(home.iterdir())


def test_a_killed_run_that_keeps_no_outputs_leaves_a_folder_that_the_next_removes(
    reference_model: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(home))
    given = ["--harness-model", str(reference_model), "--harness-data", "embedded", "--harness-policy", str(POLICY)]
    process = subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-m",
            "pytest",
            "-p",
            "harness_pytest",
            *given,
            str(shipped_folder("suites") / "test_data.py"),
        ],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(home), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: process.poll() is not None or any(home.glob("*/evidence/trial-*.npz")))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = list(home.iterdir())

    def removed() -> bool:
        with Subject.start(reference_model):
            return not set(left) & set(home.iterdir())

    assert left
    wait_for(removed, seconds=60)  # as soon as its supervisor has ended, too


def test_a_run_leaves_the_folder_of_another_that_goes_on(
    reference_model: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Subject.start(reference_model) as subject:
        subject.facts()
        before = list(tmp_path.iterdir())
        with Subject.start(reference_model):
            pass

        assert list(tmp_path.iterdir()) == before != []


def test_the_supervisor_alone_holds_the_folder_too(
    reference_model: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a killed run's supervisor is still ending the candidate, nobody else removes what it is in."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Subject.start(reference_model) as subject:
        subject.facts()
        os.close(subject._child._locks.pop())
        before = list(tmp_path.iterdir())
        temporary.clear(tmp_path)

        assert list(tmp_path.iterdir()) == before != []


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_gives_a_folder_that_nobody_takes_for_stale(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refused)
    folder = tmp_path / temporary.name()
    held = temporary.make(folder)
    temporary.clear(tmp_path)
    os.close(held)

    assert folder.exists()
