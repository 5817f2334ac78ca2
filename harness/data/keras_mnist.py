"""MNIST as Keras publishes it: the file in Keras's cache, or its download in a process of its own.

Keras is not imported here. The download goes to a folder of its own and reaches the cache whole or not at all:
Keras itself would leave half a file behind when it is stopped.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from harness.data.loaders import named, open_regular, why
from harness.data.npz import read_npz_from
from harness.data.validation import Pair
from harness.errors import UsageError
from harness.files import write_whole
from harness.formatting import one_line

NAME = "MNIST"
ADDRESS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"  # as in keras/src/datasets/mnist.py

_FETCH = "from harness.references.models import fetch_mnist; fetch_mnist()"
_WAY_OUT = "give --data FILE.npz, or --data embedded"


def cache() -> Path:
    """Return Keras's path of the file: under ``$KERAS_HOME`` or ``~/.keras``; UsageError for a user without a home."""
    home = os.environ.get("KERAS_HOME")
    try:
        return (Path(home) if home else Path("~/.keras")).expanduser() / "datasets" / "mnist.npz"
    except RuntimeError as error:  # neither HOME nor an entry in the list of users, as in many containers
        raise UsageError(
            f"this user has no home folder, where Keras keeps MNIST; set KERAS_HOME, or {_WAY_OUT}"
        ) from error


def cached() -> bytes:
    """Read the cached file; UsageError if it is not there or not the published file."""
    return _published(cache())


def refusal(seconds: float = 2.0) -> str | None:
    """Return why Keras's host does not answer within ``seconds``, or None if it does. Nothing is downloaded."""
    answers: list[str | None] = []
    asking = threading.Thread(
        target=lambda: answers.append(_ask(seconds)), daemon=True
    )  # a name look-up has no time limit
    asking.start()
    asking.join(seconds)
    return answers[0] if answers else f"no answer within {seconds:g} s"


def download(seconds: float) -> bytes:
    """Have Keras download the file within ``seconds``, and keep it in Keras's cache if that can be written."""
    with tempfile.TemporaryDirectory(prefix="digits-") as home:
        _run(Path(home), seconds)
        content = _published(Path(home) / "datasets" / "mnist.npz")
    with suppress(UsageError):
        write_whole(cache(), content)
    return content


def parse(content: bytes) -> tuple[Pair, Pair | None]:
    """Parse test and training part of the published file."""
    return read_npz_from(io.BytesIO(content), NAME)


def _run(home: Path, seconds: float) -> None:
    settings = {**os.environ, "KERAS_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-P", "-c", _FETCH]
    try:
        done = subprocess.run(command, env=settings, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"Keras's download of MNIST did not finish within {seconds:g} s; {_WAY_OUT}") from error
    except OSError as error:
        raise UsageError(f"Keras's download of MNIST could not start: {why(error)}; {_WAY_OUT}") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise UsageError(f"Keras could not download MNIST: {one_line(lines[-1], 160)}; {_WAY_OUT}")


def _published(path: Path) -> bytes:
    with open_regular(path) as file:
        content = file.read()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise UsageError(
            f"{named(path)} has SHA-256 {digest[:12]}..., Keras's MNIST has {SHA256[:12]}...; "
            "delete it, or give it by its path with --data"
        )
    return content


def _ask(seconds: float) -> str | None:
    from urllib.request import Request, urlopen  # 30 ms that a run from a file need not pay

    try:
        with urlopen(Request(ADDRESS, method="HEAD"), timeout=seconds):
            return None
    except Exception as error:  # urllib, ssl, http.client and proxies raise an open set of types
        return why(error)
