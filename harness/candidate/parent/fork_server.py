"""A process that has imported Keras once and forks the process of each candidate: 0.4 s a model instead of 3 s."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness.candidate.parent.process import environment
from harness.sandbox import temporary

_default: Path | None = None


def default() -> Path | None:
    """Return the address of the server that is in use where a caller names none."""
    return _default


@contextlib.contextmanager
def use(address: str | Path | None) -> Iterator[None]:
    """Fork candidates from the server at ``address`` for the duration of a block where the caller names none.

    The tests use it, which judge hundreds of candidates in one process.
    """
    global _default
    before, _default = _default, Path(address) if address else None
    try:
        yield
    finally:
        _default = before


@contextlib.contextmanager
def fork_server() -> Iterator[Path]:
    """Run a fork server for the duration of a block; the address to give to ``Subject.start``."""
    if _default is not None:
        yield _default
        return
    with temporary.temporary() as folder:  # where this process is killed, the server ends with it
        address = folder / "socket"
        server = start(address)
        try:
            yield address
        finally:
            server.kill()
            server.wait()


def start(address: Path, *measured: str, seconds: float = 180.0) -> subprocess.Popen[bytes]:
    """Start a fork server that listens on ``address``; returns when it accepts connections.

    Its children may also write to the folders ``measured``, where a coverage tool keeps its figures.
    """
    command = [sys.executable, "-P", "-B", "-m", "harness.candidate.child.fork_server", str(address), *measured]
    home = {"HOME": str(address.parent)}  # no settings of a user's for Keras
    server = subprocess.Popen(command, env={**environment(), **home}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + seconds
    while not address.exists():
        if server.poll() is not None:
            raise RuntimeError(f"the fork server ended with code {server.returncode} before it was ready")
        if time.monotonic() > deadline:
            server.kill()
            raise TimeoutError(f"the fork server did not start within {seconds:g} s")
        time.sleep(0.02)
    return server
