"""One interpreter start for many candidates: a server that imports Keras once and forks a keeper per connection.

``python -P -m harness.subject.nursery SOCKET``. No TensorFlow operation runs before a fork, so no child inherits one;
nothing comes back from a fork, so the next candidate never meets what one did to its process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.sandbox import keeper, kernel


@contextlib.contextmanager
def within_limit(address: Path) -> Iterator[str]:
    """The path of a socket, at most 107 bytes long as the system wants it: by way of a descriptor of its folder."""
    if len(os.fsencode(address)) < 100:
        yield str(address)
        return
    folder = os.open(address.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{address.name}"
    finally:
        os.close(folder)


def serve(address: str, *measured: str) -> None:
    """Fork a keeper for each connection; it speaks with whoever connected. ``measured`` as in a plan of the sandbox."""
    with contextlib.suppress(OSError):
        kernel.die_with_parent()
    import keras  # noqa: F401 - what every child needs, imported once

    from harness.subject import worker

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are buried by the system
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    draft = f"{address}.draft"
    with within_limit(Path(draft)) as path:
        listener.bind(path)
    listener.listen(64)
    Path(draft).rename(address)  # appears only when it can be connected to
    while True:
        line, _ = listener.accept()
        if os.fork() == 0:
            try:
                listener.close()
                os.setsid()
                keeper.keep(line, worker.main, measured)
            finally:
                os._exit(0)
        line.close()


if __name__ == "__main__":
    serve(*sys.argv[1:])
