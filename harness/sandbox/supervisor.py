"""The process between the harness and a candidate: starts it in its sandbox, waits for its end and removes all it left.

``python -P -m harness.sandbox.supervisor DESCRIPTOR MODULE`` runs ``MODULE.main`` as the candidate's process. On its
socket it receives the temporary folder, before that is made, and then the plan. When the socket closes, the parent has
closed the candidate or was killed: processes and folder are removed. It sends the layers and, at the end, the status.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Never, TypeAlias

from harness import sandbox
from harness.sandbox import kernel, namespaces, temporary

Run: TypeAlias = Callable[[], object]  # the candidate's process

SIZE = struct.Struct("<I")
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid, as the kernel fills them in


def supervise(line: socket.socket, run: Run, measured: Sequence[str] = ()) -> None:
    """Run one candidate from its start to its end; ``measured`` as in a plan, which must not ask for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    first = receive(line)
    if first is None:
        return
    try:
        order, given = _order(line)
        if order is not None:
            with contextlib.suppress(OSError):  # until this process ends; the candidate's gets no descriptor of it
                temporary.hold(Path(first["folder"]))
            _run_and_wait(line, sandbox.Plan(**{**order, "measured": tuple(measured)}), given, run)
    finally:
        temporary.remove(Path(first["folder"]))


def send(line: socket.socket, content: dict[str, Any], given: list[int] | None = None) -> None:
    """Send one message; ``descriptors`` go with it."""
    text = json.dumps(content).encode()
    socket.send_fds(line, [SIZE.pack(len(text))], given or [])
    line.sendall(text)


def receive(line: socket.socket) -> dict[str, Any] | None:
    """Receive one message; None where the other side has closed."""
    size = _exactly(line, SIZE.size)
    text = _exactly(line, SIZE.unpack(size)[0]) if size else b""
    return json.loads(text) if text else None


def _order(line: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    size, given, _, _ = socket.recv_fds(line, SIZE.size, 3)
    text = _exactly(line, SIZE.unpack(size)[0]) if len(size) == SIZE.size else b""
    return (json.loads(text) if text else None), given


def _exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionError):
        while len(data) < size and (part := line.recv(size - len(data))):
            data += part
    return data if len(data) == size else b""


def _run_and_wait(line: socket.socket, plan: sandbox.Plan, given: list[int], run: Run) -> None:
    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    apart = namespaces.unshare()
    with contextlib.suppress(OSError):
        kernel.adopt_orphans()
        apart.append("subreaper")
    report, report_writer = socket.socketpair()
    with contextlib.suppress(OSError):
        report.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_PASSCRED", 16), 1)
    first = os.fork()
    if first == 0:
        _first(plan, apart, given, report_writer, run)
    report_writer.close()
    for descriptor in given:
        os.close(descriptor)
    began = _report(report, first)
    _send_if_open(line, began)
    watched: list[Any] = [line, waker]
    status = None
    while status is None:
        if line in select.select(watched, [], [])[0]:
            os.kill(first, signal.SIGKILL)  # nobody says anything more on this line: it was closed
            status = os.waitpid(first, 0)[1]
        else:
            os.read(waker, 4096)
            status = _ended(first)
    _kill_descendants()
    _send_if_open(line, receive(report) or {"status": began.get("status", status)})


def _first(plan: sandbox.Plan, apart: list[str], given: list[int], report_writer: socket.socket, run: Run) -> Never:
    """Run in the supervisor's child: the candidate, or the first process of a pid namespace with the candidate as
    second.
    """
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with contextlib.suppress(OSError):
            kernel.die_with_parent()
        if "pid namespace" not in apart:
            _candidate(plan, apart, given, report_writer, run)
        candidate = os.fork()
        if candidate == 0:
            _candidate(plan, apart, given, report_writer, run)
        _keep_only([report_writer.fileno()])
        while (ended := os.wait())[0] != candidate:
            pass
        send(report_writer, {"status": ended[1]})
    except BaseException as error:
        _write_error(error)
    finally:
        os._exit(1)


def _candidate(plan: sandbox.Plan, apart: list[str], given: list[int], report_writer: socket.socket, run: Run) -> Never:
    try:
        os.setsid()
        for number, descriptor in enumerate(given):
            os.dup2(descriptor, number)
        with contextlib.suppress(OSError):
            kernel.die_with_parent()
        _keep_only([0, 1, 2, report_writer.fileno()])
        send(report_writer, {"layers": sandbox.enter(plan, apart)})
        report_writer.close()
        run()
        os._exit(0)
    except BaseException as error:
        _write_error(error)
    finally:
        os._exit(1)


def _write_error(error: BaseException) -> None:
    os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))


def _keep_only(descriptors: list[int]) -> None:
    """Close every descriptor but these."""
    edges = [-1, *sorted(descriptors), os.sysconf("SC_OPEN_MAX")]
    for low, high in itertools.pairwise(edges):
        if low + 1 < high:  # an empty range would be taken for an endless one
            os.closerange(low + 1, high)


def _report(report: socket.socket, first: int) -> dict[str, Any]:
    """Receive the candidate's layers, with its pid outside the namespace; a candidate that could not begin has no
    layers.
    """
    size, extra, _, _ = report.recvmsg(SIZE.size, socket.CMSG_SPACE(_CREDENTIALS.size))
    text = _exactly(report, SIZE.unpack(size)[0]) if len(size) == SIZE.size else b"{}"
    sender = next((_CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0] for _, _, data in extra), first)
    return {"pid": sender, "layers": [], **json.loads(text or b"{}")}


def _send_if_open(line: socket.socket, content: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # whoever asked may be gone
        send(line, content)


def _ended(pid: int) -> int | None:
    """Return the wait status of ``pid`` if it has ended; other children that have ended are reaped."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == pid:
                return ended[1]
    return None


def _kill_descendants() -> None:
    """Kill all processes the candidate has left: its orphans are this process's children."""
    with contextlib.suppress(ChildProcessError):
        while left := _children():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.wait()


def _children() -> list[int]:
    own, children = os.getpid(), []
    for entry in os.listdir("/proc") if sys.platform == "linux" else ():  # noqa: PTH208 - names only
        with contextlib.suppress(OSError, ValueError, IndexError):
            facts = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            if entry.isdigit() and int(facts[1]) == own:
                children.append(int(entry))
    return children


def main(descriptor: str, module: str) -> None:
    """Supervise the candidate that ``module`` runs."""
    with socket.socket(fileno=int(descriptor)) as line:
        supervise(line, lambda: importlib.import_module(module).main())


if __name__ == "__main__":
    main(*sys.argv[1:])
