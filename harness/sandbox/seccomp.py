"""A filter on system calls: those that are named fail, whatever the process is allowed otherwise. See seccomp(2)."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable

from harness.sandbox import kernel

_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # of the packet filter's language
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_OTHER_CALLS = 0x40000000  # from here on x86-64's second table, x32
_SET_FILTER = 1
_ARGUMENT_NUMBER, _ARGUMENT_ARCHITECTURE = 0, 4  # offsets in what the filter is shown


def forbid(names: Iterable[str], error: int = errno.EPERM) -> None:
    """Make these system calls fail with ``error`` for good, here and in every process started from here."""
    numbers = [kernel.number(name) for name in names]
    steps = [
        (_LOAD, 0, 0, _ARGUMENT_ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCHITECTURE[kernel.MACHINE]),
        (_RETURN, 0, 0, _KILL),  # calls of a 32-bit program have other numbers
        (_LOAD, 0, 0, _ARGUMENT_NUMBER),
        (_AT_LEAST, len(numbers) + 1, 0, _OTHER_CALLS),
        *((_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL | error),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    filter_program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(program))
    kernel.no_new_privileges()
    kernel.call("seccomp", _SET_FILTER, 0, filter_program)
