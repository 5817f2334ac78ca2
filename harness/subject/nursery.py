"""One interpreter start for many candidates: a server that imports Keras once and forks a fresh child per connection.

``python -P -m harness.subject.nursery SOCKET``. A connection passes three descriptors (requests, answers, stderr) and
gets the child's pid, and later its wait status. No TensorFlow operation runs before a fork, so no child inherits one.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
from pathlib import Path

from harness.subject.child import NUMBER


def serve(address: str) -> None:
    """Fork a child for each connection; report each child's end on its own connection."""
    import keras  # noqa: F401 - what every child needs, imported once

    from harness.subject import worker

    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    draft = f"{address}.draft"
    listener.bind(draft)
    listener.listen(64)
    Path(draft).rename(address)  # appears only when it can be connected to
    lines: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(waker, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    line, _ = listener.accept()
                    _, given, _, _ = socket.recv_fds(line, 1, 3)
                    if len(given) != 3:
                        line.close()
                        continue
                    pid = os.fork()
                    if pid == 0:
                        signal.set_wakeup_fd(-1)
                        _become(given, [listener, line, *lines.values()], [waker, wake])
                        worker.main()
                        os._exit(0)
                    for descriptor in given:
                        os.close(descriptor)
                    lines[pid] = line
                    line.sendall(NUMBER.pack(pid))
                else:
                    os.read(waker, 4096)
                    _bury(lines)


def _become(given: list[int], sockets: list[socket.socket], pipes: list[int]) -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for open_ in sockets:
        open_.close()
    for pipe in pipes:
        os.close(pipe)
    for number, descriptor in enumerate(given):
        os.dup2(descriptor, number)
        os.close(descriptor)


def _bury(lines: dict[int, socket.socket]) -> None:
    while lines:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        line = lines.pop(pid)
        with contextlib.suppress(OSError):  # whoever asked may be gone
            line.sendall(NUMBER.pack(status))
        line.close()


if __name__ == "__main__":
    serve(sys.argv[1])
