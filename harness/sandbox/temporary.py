"""Temporary folders that outlive no run: locked by the processes that will remove them; after a crash the next run
does.

Nothing heavy is imported here: the supervisor needs it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

_NAME = re.compile(r"harness-candidate-[0-9a-f]{16}")
_MAX_REMOVALS = 100  # removed at a time
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def name() -> str:
    """Make up a name for a temporary folder that no other run uses."""
    return f"harness-candidate-{secrets.token_hex(8)}"


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """Make a folder for the duration of a block; where this process is killed meanwhile, the next run removes it."""
    import tempfile

    folder = Path(tempfile.gettempdir()) / name()
    lock = make(folder)
    try:
        yield folder
    finally:
        remove(folder)
        os.close(lock)


def make(folder: Path) -> int:
    """Make the folder and lock it; returns a descriptor that holds the lock until it is closed."""
    while True:
        folder.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # taken for a stale one in the moment before it was held
            lock = hold(folder)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock), folder.stat()):
                    return lock
            os.close(lock)


def hold(folder: Path) -> int:
    """Take a shared lock on a folder; waits only for a process that removes it. Returns the descriptor.

    A file system without locks gives none, and none to a process that would remove the folder for being stale.
    """
    lock = os.open(folder, _FLAGS)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            os.close(lock)
            raise
    return lock


def clear(home: Path) -> None:
    """Remove the folders in ``home`` that runs of this user left when they and their supervisors were killed at
    once.
    """
    with contextlib.suppress(OSError), os.scandir(home) as entries:
        stale = [Path(entry.path) for entry in entries if _NAME.fullmatch(entry.name) and _own(entry)]
        for folder in stale[:_MAX_REMOVALS]:
            with contextlib.suppress(OSError):  # it is held, or another run was quicker
                _remove_unless_held(folder)


def _own(entry: os.DirEntry[str]) -> bool:
    status = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _remove_unless_held(folder: Path) -> None:
    lock = os.open(folder, _FLAGS)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(folder)
    finally:
        os.close(lock)


def remove(folder: Path) -> None:
    """Remove the folder, also where the candidate took the right to do so from its folders."""

    def again(remove: Callable[[str], object], path: str, _: object) -> None:
        for place in (Path(path).parent, Path(path)):
            if place.is_relative_to(folder) and not place.is_symlink():  # nothing outside is touched
                with contextlib.suppress(OSError):
                    place.chmod(0o700)
        with contextlib.suppress(OSError):
            remove(path)

    shutil.rmtree(folder, onerror=again)
    shutil.rmtree(folder, ignore_errors=True)
