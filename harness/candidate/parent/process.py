"""The candidate's process, in its sandbox: under a supervisor of its own, or one of a fork server."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from harness.candidate.protocol.sockets import short_address
from harness.sandbox import Plan, supervisor, temporary

_PIPE_BYTES = 1 << 20  # bytes: 1,000 images are written at once, however busy the worker is
WORKER = "harness.candidate.child.worker"
_INHERITED = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_CONFIG")


class Child:
    """A worker that speaks over ``stdin`` and ``stdout``; forked from the server at ``fork_server``, if one is named.

    It begins when it is given its plan. Its processes and ``folder``, which it makes, are gone when it is ended or
    this process is killed.
    """

    def __init__(self, folder: Path, stderr: IO[bytes], fork_server: Path | None = None) -> None:
        self._folder, self._stderr = folder, stderr
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._began: dict[str, Any] | None = None
        self._code: int | None = None
        self._pipes: tuple[IO[bytes], ...] = ()
        self._locks: list[int] = []
        if fork_server is not None:
            self._line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with short_address(fork_server) as path:
                self._line.connect(path)
        else:
            self._line, other = socket.socketpair()
            with other:
                self._supervisor = _start_supervisor(other, stderr)
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
            fcntl.fcntl(self_out, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
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


def _start_supervisor(line: socket.socket, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-B", "-m", "harness.sandbox.supervisor", str(line.fileno()), WORKER]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=environment(),
        pass_fds=[line.fileno()],
        start_new_session=True,
    )


def environment() -> dict[str, str]:
    """Copy from this process's environment no more than a candidate's needs to start; the settings of its libraries."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    quiet |= {"JOBLIB_MULTIPROCESSING": "0"}
    single = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return {**inherited, **quiet, **single, "HDF5_PLUGIN_PRELOAD": "::"}
