"""Namespaces: own processes, own (empty) network, own file system. See namespaces(7)."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.sandbox import kernel

_USER, _MOUNT = 0x10000000, 0x00020000
_OTHERS = {"pid namespace": 0x20000000, "network namespace": 0x40000000, "ipc namespace": 0x08000000}
_BIND, _RECURSIVE, _PRIVATE, _NO_SUID, _NO_DEVICES, _NO_PROGRAMS = 0x1000, 0x4000, 0x40000, 2, 4, 8
_READ_ONLY, _DETACH, _HERE, _WHOLE_TREE = 1, 2, -100, 0x8000
WORK_BYTES = 256 << 20  # of all files in the folder a candidate may write to


def unshare() -> list[str]:
    """Enter as many new namespaces as the system allows; returns their names.

    The first process started after this is the first of its pid namespace: when it ends, all in it do.
    """
    apart = []
    user, group = os.getuid(), os.getgid()
    with contextlib.suppress(OSError):
        kernel.call("unshare", _USER)
        apart.append("user namespace")
        for name, text in (("uid_map", f"{user} {user} 1"), ("setgroups", "deny"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - one write, as the kernel asks
                file.write(text)
    for name, flag in _OTHERS.items():
        with contextlib.suppress(OSError):
            kernel.call("unshare", flag)
            apart.append(name)
    return apart


def see_only(readable: Sequence[str], writable: Sequence[str], hidden: Iterable[str], root: str) -> None:
    """Replace the file system by one of these files and folders, at their places; OSError where that is not allowed.

    The first that is ``writable`` is empty and of limited size. ``root`` is an empty folder to build it in.
    """
    work, *others = writable
    kernel.call("unshare", _MOUNT)
    _mount(None, "/", None, _RECURSIVE | _PRIVATE)
    _mount("tmpfs", root, "tmpfs", _NO_SUID | _NO_DEVICES, "size=1m,mode=0755")
    shown = sorted({*readable, *map(os.path.realpath, readable)})
    for place in shown:
        if os.path.exists(place) and not os.path.exists(root + place):  # noqa: PTH110 - light
            _bind(place, root + place)
    for place in hidden:
        if Path(root + place).exists() and any(_lies_in(place, each) for each in shown):
            _cover(root + place)
            for each in shown:  # an interpreter that lies in the folder of the digits
                if each != place and _lies_in(each, place) and Path(each).exists():
                    _bind(each, root + each)
    for place in writable:
        os.makedirs(root + place, exist_ok=True)  # noqa: PTH103
    _pretend_proc(f"{root}/proc/self")
    _frozen(root)
    for place in others:
        _mount(place, root + place, None, _BIND)
    _mount("tmpfs", root + work, "tmpfs", _NO_SUID | _NO_DEVICES, f"size={WORK_BYTES},nr_inodes=10000,mode=0700")
    os.chdir(root)
    kernel.call("pivot_root", b".", b".")
    kernel.call("umount2", b".", _DETACH)
    os.chdir("/")


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _bind(place: str, target: str) -> None:
    folder = place if os.path.isdir(place) else os.path.dirname(place)  # noqa: PTH112, PTH120
    os.makedirs(target if folder == place else os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
    if folder != place:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
    _mount(place, target, None, _BIND | _RECURSIVE)


def _cover(target: str) -> None:
    if os.path.isdir(target):  # noqa: PTH112
        _mount("tmpfs", target, "tmpfs", _NO_SUID | _NO_DEVICES, "size=4k,mode=0111")
    else:
        _mount("/dev/null", target, None, _BIND)


def _pretend_proc(folder: str) -> None:
    """Write the files of /proc that TensorFlow cannot do without: the program's path and first words."""
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    os.symlink(os.path.realpath(sys.executable), f"{folder}/exe")  # noqa: PTH211
    with open(f"{folder}/cmdline", "w") as file:  # noqa: PTH123
        file.write("python\0worker\0")


def _frozen(root: str) -> None:
    attributes = struct.pack("QQQQ", _READ_ONLY, 0, 0, 0)
    kernel.call("mount_setattr", _HERE, root.encode(), _WHOLE_TREE, attributes, len(attributes))


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    words = (None if word is None else os.fsencode(word) for word in (source, target, kind))
    kernel.call("mount", *words, flags, None if options is None else options.encode())
