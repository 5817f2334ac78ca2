"""Deeds of a hostile candidate, one function a deed; each returns the harm done.

``deeds.py NAME ARGUMENT`` does it carelessly. ``deeds.py --confined JSON NAME ARGUMENT`` does it in the sandbox; JSON
holds parts of the plan, and under "refused" the names of system calls that fail as on a kernel without them.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SHELL = "/bin/sh"


def read(path: str) -> str:
    return Path(path).read_text()


def names(folder: str) -> list[str]:
    return sorted(os.listdir(folder))  # noqa: PTH208


def size(path: str) -> int:
    return os.stat(path).st_size  # noqa: PTH116


def write(path: str) -> bool:
    Path(path).write_text("harm")
    return True


def remove(path: str) -> bool:
    Path(path).unlink()
    return True


def connect(port: str) -> bool:
    socket.create_connection(("127.0.0.1", int(port)), 2).close()
    return True


def send_a_datagram(port: str) -> bool:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"harm", ("127.0.0.1", int(port)))
    return True


def speak_to_a_socket(path: str) -> bool:
    socket.socket(socket.AF_UNIX).connect(path)
    return True


def start_a_program(_: str) -> str:
    return subprocess.run([SHELL, "-c", "echo harm"], capture_output=True, text=True, check=True).stdout


def start_a_program_from_memory(_: str) -> bool:
    memory = os.memfd_create("program", 0)
    os.write(memory, Path(sys.executable).resolve().read_bytes())
    child = os.fork()
    if child == 0:
        try:
            os.execve(memory, ["python", "-I", "-c", ""], {"PYTHONHOME": sys.base_prefix})
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def end_a_process(pid: str) -> bool:
    os.kill(int(pid), signal.SIGTERM)
    return True


def look_into_a_process(pid: str) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


def stop_a_process(pid: str) -> bool:
    library = ctypes.CDLL(None, use_errno=True)
    attach, seize = 16, 0x4206
    done = library.ptrace(seize, int(pid), None, None) == 0 or library.ptrace(attach, int(pid), None, None) == 0
    if not done:
        raise OSError(ctypes.get_errno(), "ptrace")
    return True


def stay_behind(name: str) -> bool:
    """A process that is nobody's child, in a session of its own, and ignores SIGTERM."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)  # what /proc calls it
            os.closerange(0, 20)
            time.sleep(120)
        os._exit(0)
    os.wait()
    time.sleep(0.3)
    return True


def open_a_namespace(_: str) -> bool:
    if ctypes.CDLL(None, use_errno=True).unshare(0x10000000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    return True


def fill_the_disk(_: str) -> int:
    """More than 300 MB, in files of 32 MB."""
    part, folder = bytes(32 << 20), Path(tempfile.mkdtemp())
    try:
        for number in range(10):
            (folder / str(number)).write_bytes(part)
    finally:
        for file in folder.iterdir():
            file.unlink()
    return 10 * len(part)


def write_one_large_file(_: str) -> int:
    with tempfile.TemporaryFile() as file:
        return sum(file.write(bytes(1 << 20)) for _ in range(100))


def take_memory(_: str) -> int:
    return len(bytearray(2 << 30))


def be_many(_: str) -> int:
    """Four hundred processes at once."""
    children = []
    try:
        for _number in range(400):
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return len(children)


def be_busy(_: str) -> bool:
    """Five seconds of one core."""
    while resource.getrusage(resource.RUSAGE_SELF).ru_utime < 5:
        pass
    return True


def nothing(_: str) -> str:
    return f"{os.getcwd()} {os.environ['HOME']} {os.environ['TMPDIR']} {tempfile.gettempdir()}"  # noqa: PTH109


def _done(name: str, argument: str) -> None:
    try:
        told = {"harm": globals()[name](argument)}
    except (OSError, MemoryError, subprocess.CalledProcessError) as error:
        told = {"harm": None, "refused": f"{type(error).__name__}: {error}"}
    os.write(1, json.dumps(told).encode())


def _confined(given: dict[str, Any], name: str, argument: str) -> None:
    from dataclasses import asdict

    from harness.sandbox import Plan, seccomp, still_open, supervisor

    seccomp.forbid(given.pop("refused", []), errno.ENOSYS)
    scratch = given.pop("scratch")
    open_ = {"readable": (), "listed": (), "hidden": (), "memory_bytes": 1 << 30, "cpu_seconds": 60}
    line, other = socket.socketpair()
    if os.fork() == 0:
        line.close()
        supervisor.supervise(other, lambda: _done(name, argument))
        os._exit(0)
    other.close()
    supervisor.send(line, {"folder": scratch})
    Path(scratch).mkdir(mode=0o700)
    answers, said = os.pipe()
    supervisor.send(
        line, asdict(Plan(folder=scratch, **{**open_, **given})), [os.open(os.devnull, os.O_RDONLY), said, 2]
    )
    os.close(said)
    begun = supervisor.receive(line) or {}
    with os.fdopen(answers, "rb") as pipe:
        told = json.loads(pipe.read() or b'{"harm": null, "refused": "it was ended"}')
    print(json.dumps({**begun, **told, **(supervisor.receive(line) or {}), "open": still_open(begun["layers"])}))
    os.wait()


if __name__ == "__main__":
    if sys.argv[1] == "--confined":
        _confined(json.loads(sys.argv[2]), *sys.argv[3:])
    else:
        _done(*sys.argv[1:])
