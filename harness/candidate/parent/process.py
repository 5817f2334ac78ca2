"""The candidate's process, in its sandbox: under a supervisor of its own, or one of a fork server."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import site
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from harness.candidate.parent.cores import cores
from harness.candidate.protocol.sockets import short_address
from harness.errors import UsageError
from harness.formatting import one_line
from harness.sandbox import Plan, supervisor, temporary

_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)  # Linux's alone
_PIPE_BYTES = 1 << 20  # bytes: 1,000 images are written at once, however busy the worker is
_MAX_WORKERS = 16  # the reference cnn takes 90 MB for each: 8.3 GB of address space with 96, 3.6 GB with these
WORKER = "harness.candidate.child.worker"
_INHERITED = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_CONFIG")


class Child:
    """A worker that speaks over ``stdin`` and ``stdout``; forked from the server at ``fork_server``, if one is named.

    It begins when it is given its plan. Its processes and ``folder``, which it makes, are gone when it is ended or
    this process is killed.
    """

    def __init__(self, folder: Path, stderr: IO[bytes], fork_server: Path | None = None, module: str = WORKER) -> None:
        self._folder, self._stderr = folder, stderr
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._began: dict[str, Any] | None = None
        self._code: int | None = None
        self._pipes: tuple[IO[bytes], ...] = ()
        self._locks: list[int] = []
        self._line, other = _lines(fork_server)
        if other is not None:
            with other:
                self._supervisor = _start_supervisor(other, stderr, module)
        supervisor.send(self._line, {"folder": str(folder)})

    def make_folder(self) -> None:
        """Make the folder once the supervisor, which removes it, has been started; if both are killed, the next run
        does.
        """
        temporary.clear(self._folder.parent)
        self._locks.append(temporary.make(self._folder))

    def begin(self, plan: Plan) -> None:
        """Start the worker in its sandbox."""
        requests, self_out = os.pipe()
        self_in, answers = os.pipe()
        with contextlib.suppress(OSError):  # over the user's share of pipes: then it is written in pieces
            if _SET_PIPE_SIZE is not None:
                fcntl.fcntl(self_out, _SET_PIPE_SIZE, _PIPE_BYTES)
        self.stdin, self.stdout = self._pipes = os.fdopen(self_out, "wb", 0), os.fdopen(self_in, "rb", 0)
        with contextlib.suppress(ConnectionError):  # a supervisor that was killed: the first answer will be missing
            supervisor.send(self._line, asdict(plan), [requests, answers, self._stderr.fileno()])
        os.close(requests)
        os.close(answers)

    @property
    def pid(self) -> int:
        """Return the process id; waits until the worker has begun."""
        return int(self._report()["pid"])

    def layers(self) -> tuple[str, ...]:
        """Return the sandbox layers that were on before anything of the candidate ran; empty if it could not begin."""
        return tuple(self._report()["layers"])

    def wait(self, seconds: float) -> int:
        """Wait for the exit code, negative for a signal; TimeoutError after ``seconds``."""
        if self._code is None:
            began = self._report()
            self._line.settimeout(seconds)
            last = supervisor.receive(self._line) or began
            self._code = os.waitstatus_to_exitcode(int(last.get("status", signal.SIGKILL)))
        return self._code

    def obituary(self, seconds: float = 5.0) -> str:
        """Say in one line how the process ended and what it last said; TimeoutError where it still runs."""
        code = self.wait(seconds)
        self._stderr.seek(max(self._stderr.seek(0, os.SEEK_END) - 2000, 0))
        lines = [line for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        how = f"was killed by {_signal(-code)}" if code < 0 else f"ended with code {code}"
        return f"its process {how}" + (f"; it last said: {one_line(lines[-1], 160)}" if lines else "")

    def end(self) -> None:
        """End the worker and everything it started; returns when all of it is gone."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.close()
        with contextlib.suppress(OSError):
            if self._pipes:
                self.wait(0.5)  # a worker that is well ends by itself when its pipe closes
        with contextlib.suppress(OSError):
            self._line.settimeout(10)
            self._line.shutdown(socket.SHUT_WR)
            while self._line.recv(4096):
                pass
        self._line.close()
        if self._supervisor is not None:
            self._supervisor.kill()
            self._supervisor.wait()
        temporary.remove(self._folder)  # where someone killed the supervisor
        with contextlib.suppress(IndexError):  # two threads may end it at once: only one of them gets the descriptor
            os.close(self._locks.pop())

    def _report(self) -> dict[str, Any]:
        if self._began is None:
            self._line.settimeout(30)
            with contextlib.suppress(TimeoutError):
                self._began = supervisor.receive(self._line)
            self._began = self._began or {"pid": 0, "layers": []}
        return self._began


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"
    lacking = " (this processor may lack instructions that TensorFlow is built with, such as AVX)"
    return name + (lacking if number == signal.SIGILL else "")


def _lines(fork_server: Path | None) -> tuple[socket.socket, socket.socket | None]:
    """Return the socket to a supervisor, and its other end where there is no fork server that has it."""
    try:
        if fork_server is None:
            return socket.socketpair()
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short_address(fork_server) as path:
            line.connect(path)
    except RuntimeError as error:  # of a plugin of pytest that keeps tests from the network
        raise UsageError(
            f"sockets are switched off in this process ({type(error).__name__}), and the candidate's process is spoken "
            "with through one, without a network; with pytest-socket: --allow-unix-socket, or "
            "disable_socket(allow_unix_socket=True)"
        ) from error
    return line, None


def _start_supervisor(line: socket.socket, stderr: IO[bytes], module: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-B", "-m", "harness.sandbox.supervisor", str(line.fileno()), module]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=environment(),
        pass_fds=[line.fileno()],
        start_new_session=True,
    )


def workers() -> int:
    """Count the blocks that a candidate's process predicts at a time."""
    return min(cores(), _MAX_WORKERS)


def environment() -> dict[str, str]:
    """Copy from this process's environment no more than a candidate's needs to start; the settings of its libraries."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    quiet |= {"JOBLIB_MULTIPROCESSING": "0"}
    single = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    single |= {"TF_NUM_INTEROP_THREADS": str(workers()), "HDF5_USE_FILE_LOCKING": "FALSE"}  # the file is a private copy
    # answers of a layer to a batch are large: memory taken from the system for each of them costs a third of the time
    reused = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34)}
    return {**inherited, **quiet, **single, **reused, **_places_of_packages(), "HDF5_PLUGIN_PRELOAD": "::"}


def _places_of_packages() -> dict[str, str]:
    """Return the variables by which a child finds what this process imports from, in the same order."""
    user = {"PYTHONUSERBASE": site.getuserbase()} if site.ENABLE_USER_SITE else {"PYTHONNOUSERSITE": "1"}
    asked = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    here = Path.cwd()
    own = [place for place in sys.path if place and Path(place).resolve() != here and _holds_packages(place, asked)]
    return {**user, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, own))}


def _holds_packages(place: str, asked: Sequence[str]) -> bool:
    """Tell whether a place on the path is the interpreter's, holds packages or was asked for."""
    folder = Path(place)
    return place in asked or folder.is_relative_to(sys.base_prefix) or any(folder.glob("*.dist-info"))
