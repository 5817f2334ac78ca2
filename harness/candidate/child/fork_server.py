"""Server that imports Keras once and forks a supervisor per connection: one interpreter for many candidates.

``python -P -m harness.candidate.child.fork_server SOCKET``. No TensorFlow operation runs before a fork, so no child
inherits one; nothing comes back from a fork, so no candidate meets
what another did to its process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

from harness.candidate.protocol.sockets import short_address
from harness.sandbox import kernel, supervisor


def serve(address: str, *measured: str) -> None:
    """Fork a supervisor for each connection to ``address``; ``measured`` as in a plan of the sandbox."""
    with contextlib.suppress(OSError):
        kernel.die_with_parent()
    import keras  # noqa: F401 - what every child needs, imported once

    from harness.candidate.child import worker

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors are reaped by the system
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    draft = f"{address}.draft"
    with short_address(Path(draft)) as path:
        listener.bind(path)
    listener.listen(64)
    Path(draft).rename(address)  # appears only when it can be connected to
    while True:
        line, _ = listener.accept()
        if os.fork() == 0:
            try:
                listener.close()
                os.setsid()
                supervisor.supervise(line, worker.main, measured)
            finally:
                os._exit(0)
        line.close()


if __name__ == "__main__":
    serve(*sys.argv[1:])
