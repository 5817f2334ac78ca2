"""The candidate's process: a new interpreter, or a fork of a nursery that has imported Keras already."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

NURSERY = "HARNESS_NURSERY"  # environment variable: the socket of a nursery to fork children from
NUMBER = struct.Struct("<i")
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "COVERAGE_PROCESS_CONFIG")


def spawn(stderr: IO[bytes]) -> subprocess.Popen[bytes] | Nursling:
    """Start a worker that speaks over its stdin and stdout, in a session of its own."""
    if nursery := os.environ.get(NURSERY):
        return Nursling(nursery, stderr)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "harness.subject.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=_environment(),
        start_new_session=True,
    )


def start_nursery(address: str, seconds: float = 60.0) -> subprocess.Popen[bytes]:
    """Start a nursery that listens on ``address``; returns when it takes connections."""
    command = [sys.executable, "-P", "-m", "harness.subject.nursery", address]
    server = subprocess.Popen(command, env=_environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + seconds
    while not Path(address).exists():
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            raise TimeoutError(f"the nursery did not start within {seconds:g} s")
        time.sleep(0.02)
    return server


class Nursling:
    """A child of the nursery, with the part of Popen's interface that Subject uses."""

    def __init__(self, address: str, stderr: IO[bytes]) -> None:
        requests, self_out = os.pipe()
        self_in, answers = os.pipe()
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._line.connect(address)
            socket.send_fds(self._line, [b"+"], [requests, answers, stderr.fileno()])
            self.pid = NUMBER.unpack(self._exactly())[0]
        finally:
            os.close(requests)
            os.close(answers)
        self.stdin = os.fdopen(self_out, "wb", 0)
        self.stdout = os.fdopen(self_in, "rb", 0)
        self._code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal, as Popen gives it."""
        if self._code is None:
            self._line.settimeout(timeout)
            try:
                self._code = os.waitstatus_to_exitcode(NUMBER.unpack(self._exactly())[0])
            except TimeoutError as error:
                raise subprocess.TimeoutExpired("nursling", timeout or 0) from error
            except (OSError, struct.error):
                self._code = -signal.SIGKILL  # the nursery itself is gone, and its children with it
            self._line.close()
        return self._code

    def _exactly(self) -> bytes:
        data = b""
        while len(data) < NUMBER.size and (part := self._line.recv(NUMBER.size - len(data))):
            data += part
        return data


def _environment() -> dict[str, str]:
    """Nothing of the parent's environment but what a program needs to start."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    single = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return {**kept, **quiet, **single, "PYTHONDONTWRITEBYTECODE": "1", "HDF5_PLUGIN_PRELOAD": "::"}
