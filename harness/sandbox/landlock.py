"""Landlock: restricts this process, and what it starts, to the files that are named. See landlock(7)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable

from harness.sandbox import kernel

_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_OF_A_FILE = _WRITE_FILE | _READ_FILE | _TRUNCATE
_EXECUTE, _IOCTL = 1, 1 << 15
_BITS = {1: 13, 2: 14, 3: 15, 4: 15}  # rights over files by version, from 5 on 16
_ASK_VERSION = 1


def version() -> int:
    """Return the version of Landlock's interface in this kernel. OSError where there is none."""
    return kernel.call("landlock_create_ruleset", None, 0, _ASK_VERSION)


def restrict(readable: Iterable[str], writable: Iterable[str], listed: Iterable[str] = ()) -> int:
    """Allow only to read, write or list the files and folders named, and to start nothing. Returns the version.

    Where the kernel can: no TCP port (4), no abstract socket and no signal to processes outside (6).
    """
    abi = version()
    every = (1 << _BITS.get(abi, 16)) - 1
    rules = struct.pack("QQQ", every, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    ruleset = kernel.call("landlock_create_ruleset", rules, 8 if abi < 4 else 16 if abi < 6 else 24, 0)
    try:
        for path in readable:
            _allow(ruleset, path, (_READ_FILE | _READ_DIR) & every)
        for path in listed:
            _allow(ruleset, path, _READ_DIR)
        for path in writable:
            _allow(ruleset, path, every & ~_EXECUTE & ~_IOCTL)
        kernel.no_new_privileges()
        kernel.call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
    return abi


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no leave
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - light: this runs in each candidate's process
            rights &= _OF_A_FILE
        kernel.call("landlock_add_rule", ruleset, 1, struct.pack("<Qi", rights, place), 0)
    finally:
        os.close(place)
