"""Killed at any point, or out of disk: nothing that reads as a verdict is left, and the next run works."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.outputs import run_json
from tests.support.commands import ENTRY, python
from tests.support.folders import FAULTS, once

POLICY = FAULTS / "noise.toml"
VERDICTS = ("run.json", "report.html", "junit.xml", "session.json")


def start(
    model: Path, out: Path, before: Callable[[], None] | None = None, *, forked: bool = True
) -> subprocess.Popen[str]:
    environment = dict(os.environ)
    if before is not None:  # a coverage tool would write files of its own under the limits set there
        environment = {name: value for name, value in environment.items() if not name.startswith("COVERAGE")}
    entry = python(ENTRY) if forked else [sys.executable, "-P", "-c", ENTRY]
    command = [*entry, "run", str(model), "--data", "embedded", "--policy", str(POLICY), "--out", str(out)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, preexec_fn=before)


def finished(model: Path, out: Path) -> bytes:
    """Run to the end; the record it leaves."""
    process = start(model, out)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 5, errors
    return (out / "run.json").read_bytes()


@pytest.fixture
def whole(shared: Path, reference_model: Path, fork_server: Path) -> Path:
    """The folder of a run that nothing disturbed, made once."""
    return once(shared, "undisturbed", lambda draft: finished(reference_model, draft))


def as_in(out: Path, whole: Path) -> bytes:
    """The undisturbed record, had it been written into ``out``."""
    return (whole / "run.json").read_bytes().replace(bytes(whole.with_name("draft-undisturbed")), bytes(out))


def children(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in done.stdout.split()]


def measured(out: Path) -> int:
    return len(list((out / "evidence").glob("trial-*.npz")))


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


@pytest.mark.parametrize("trials", [0, 1, 4])
def test_a_run_killed_in_the_middle_leaves_no_verdict_and_the_next_repeats_nothing(
    trials: int, reference_model: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(reference_model, out)
    wait_for(lambda: (out / "evidence").exists() and measured(out) >= trials)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = [name for name in VERDICTS if (out / name).exists()]
    kept = {path.name: path.stat().st_mtime_ns for path in (out / "evidence").glob("trial-*.npz")}

    again = finished(reference_model, out)

    assert not left
    assert again == as_in(out, whole)
    assert all((out / "evidence" / name).stat().st_mtime_ns == when for name, when in kept.items())


def test_yesterdays_verdict_does_not_survive_a_killed_run(reference_model: Path, whole: Path, tmp_path: Path) -> None:
    out = shutil.copytree(whole, tmp_path / "out")
    (out / "evidence" / "key").write_text("of another model")
    process = start(reference_model, out)
    wait_for(lambda: (out / "evidence" / "key").exists() and measured(out) in range(1, 5))
    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert not [name for name in VERDICTS if (out / name).exists()]


def test_a_killed_child_is_named_and_blocks_nothing_from_being_said(reference_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(reference_model, out, forked=False)
    wait_for(lambda: measured(out) >= 1)
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=300)
    run = run_json.load(out / "run.json")

    assert process.returncode == run.verdict.exit_code == 5
    assert any("killed by SIGKILL" in finding.reason for finding in run.findings)


def test_the_processes_and_the_copy_of_a_killed_run_do_not_live_on(
    reference_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    process = start(reference_model, tmp_path / "out", forked=False)
    wait_for(lambda: len(descendants(process.pid)) >= 2 and any((tmp_path / "scratch").iterdir()))
    started = descendants(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    wait_for(lambda: not any(map(lives, started)), seconds=60)
    wait_for(lambda: not any((tmp_path / "scratch").iterdir()), seconds=60)


def descendants(pid: int) -> list[int]:
    below = children(pid)
    return [*below, *(further for child in below for further in descendants(child))]


def lives(pid: int) -> bool:
    try:
        return "Z (" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def pid_of(address: Path) -> int:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(address))
        return int(struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


KILLS = int(os.environ.get("HARNESS_KILLS", "3"))


@pytest.mark.timeout(300 + 60 * KILLS)
def test_killed_at_any_moment_nothing_is_left_and_the_next_run_is_the_whole_run(
    reference_model: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parent, supervisor and candidate in turn, at seeded moments. HARNESS_KILLS says how many."""
    whole, out, scratch = tmp_path / "whole", tmp_path / "out", tmp_path / "scratch"
    scratch.mkdir()
    began = time.monotonic()
    expected = finished(reference_model, whole).replace(b"/whole", b"/out")
    took = time.monotonic() - began
    moments = random.Random(20260101)
    monkeypatch.setenv("TMPDIR", str(scratch))
    server = pid_of(fork_server)
    for number in range(KILLS):
        shutil.rmtree(out, ignore_errors=True)
        process = start(reference_model, out)
        time.sleep(moments.uniform(0, 1.1 * took))
        below = descendants(server) or [process.pid]
        victim = (process.pid, below[-1], below[0])[number % 3]
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            os.kill(victim, signal.SIGKILL)
        process.communicate(timeout=300)

        wait_for(lambda: not any(map(lives, descendants(server))), seconds=60)
        wait_for(lambda: not any(scratch.iterdir()), seconds=60)
        left = [name for name in VERDICTS if (out / name).exists()]
        assert left in ([], list(VERDICTS)), (number, left)
        if left and process.returncode == -signal.SIGKILL:
            assert (out / "run.json").read_bytes() == expected, number
        assert finished(reference_model, out) == expected, number
        assert [path.name for path in out.rglob(".*")] == [".lock"], number


@pytest.fixture(scope="module")
def small_model(shared: Path) -> Path:
    """A model file of 45 KB, so that its copy needs less room than what a run writes."""
    code = (
        "import keras, sys; layers = keras.layers;"
        "body = [keras.Input((28, 28)), layers.Flatten(), layers.Dense(10, activation='softmax')];"
        "keras.Sequential(body).save(sys.argv[1])"
    )

    def build(draft: Path) -> None:
        path = draft.with_suffix(".keras")
        subprocess.run([sys.executable, "-P", "-c", code, str(path)], check=True, capture_output=True)
        path.rename(draft)

    return once(shared, "small.keras", build)


@pytest.mark.parametrize(
    ("size", "what"), [(10_000, "cannot be copied"), (60_000, "cannot write"), (120_000, "cannot write")]
)
def test_without_room_on_the_disk_there_is_no_verdict(
    size: int, what: str, small_model: Path, fork_server: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    process = start(small_model, out, little_room)
    _, errors = process.communicate(timeout=300)

    assert process.returncode == 4
    assert what in errors
    assert "Traceback" not in errors
    assert not (out / "run.json").exists()
    process = start(small_model, out)
    process.communicate(timeout=300)
    assert process.returncode == 5
    assert (out / "run.json").exists()


def test_a_refused_model_leaves_earlier_outputs_alone(whole: Path, tmp_path: Path) -> None:
    out, broken = shutil.copytree(whole, tmp_path / "out"), tmp_path / "broken.keras"
    before = (out / "run.json").read_bytes()
    broken.write_bytes(b"no model")
    process = start(broken, out)
    process.communicate(timeout=300)

    assert process.returncode == 4
    assert (out / "run.json").read_bytes() == before
    assert (out / "report.html").exists()


def test_equal_runs_leave_equal_bytes(reference_model: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = finished(reference_model, out)

    assert first == as_in(out, whole)
    assert finished(reference_model, out) == first
    assert (out / "junit.xml").read_bytes() == (whole / "junit.xml").read_bytes()
