"""Linux system calls that Python does not wrap. Each raises OSError; on other systems all of them do."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from functools import cache

Argument = int | bytes | None

# Numbers from the kernel's tables; those from 424 on are the same on every machine.
_COMMON = {
    "io_uring_setup": 425,
    "move_mount": 429,
    "open_tree": 428,
    "fsopen": 430,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}
_OWN = {
    "x86_64": {
        "socket": 41, "execve": 59, "ptrace": 101, "capset": 126, "pivot_root": 155, "prctl": 157, "mount": 165,
        "umount2": 166, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "perf_event_open": 298,
        "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "seccomp": 317, "bpf": 321, "execveat": 322,
        "userfaultfd": 323,
    },
    "aarch64": {
        "umount2": 39, "mount": 40, "pivot_root": 41, "capset": 91, "unshare": 97, "ptrace": 117, "prctl": 167,
        "socket": 198, "add_key": 217, "request_key": 218, "keyctl": 219, "execve": 221, "perf_event_open": 241,
        "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "seccomp": 277, "bpf": 280, "execveat": 281,
        "userfaultfd": 282,
    },
}  # fmt: skip
MACHINE = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())

_DEATH_SIGNAL, _NO_NEW_PRIVILEGES, _SUBREAPER = 1, 38, 36  # of prctl


def number(name: str) -> int:
    """Look up the number of a system call on this machine. OSError where it is not known."""
    own = _OWN.get(MACHINE) if sys.platform == "linux" and sys.maxsize > 2**32 else None
    if own is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    return {**_COMMON, **own}[name]


def call(name: str, *arguments: Argument) -> int:
    """Make a system call and return its result. OSError where it fails."""
    given = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    result: int = _library().syscall(ctypes.c_long(number(name)), *given)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return result


def die_with_parent() -> None:
    """Have this process killed when the thread that forked it ends."""
    call("prctl", _DEATH_SIGNAL, 9, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent has ended."""
    call("prctl", _SUBREAPER, 1, 0, 0, 0)


def no_new_privileges() -> None:
    """Keep programs started from here from gaining rights by a set-user-id bit or by capabilities."""
    call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def drop_capabilities() -> None:
    """Give up root's special rights, also those inside an own user namespace."""
    version_3, this_process = 0x20080522, 0
    call("capset", version_3.to_bytes(4, "little") + this_process.to_bytes(4, "little"), bytes(24))


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library
