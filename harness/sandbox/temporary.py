"""A candidate's scratch folder: locked while anyone lives who will remove it; left by those killed, the next run does.

Nothing heavy is imported here: the supervisor needs it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

_NAME = re.compile(r"harness-candidate-[0-9a-f]{16}")
_MOST = 100  # removed at a time
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def name() -> str:
    """Of a folder that is nobody else's."""
    return f"harness-candidate-{secrets.token_hex(8)}"


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """A folder for as long as the block lasts; where this process is killed meanwhile, the next run removes it."""
    import tempfile

    folder = Path(tempfile.gettempdir()) / name()
    held = make(folder)
    try:
        yield folder
    finally:
        remove(folder)
        os.close(held)


def make(folder: Path) -> int:
    """Make the folder and hold it; a descriptor that holds it until it is closed, also by the end of the process."""
    while True:
        folder.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # taken for a stale one in the moment before it was held
            held = hold(folder)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(held), folder.stat()):
                    return held
            os.close(held)


def hold(folder: Path) -> int:
    """Hold a folder together with whoever holds it already; waits only for one who removes it."""
    held = os.open(folder, _FLAGS)
    fcntl.flock(held, fcntl.LOCK_SH)
    return held


def clear(home: Path) -> None:
    """Remove the folders in ``home`` left by runs of this user that were killed together with their supervisors."""
    with contextlib.suppress(OSError), os.scandir(home) as entries:
        found = [Path(entry.path) for entry in entries if _NAME.fullmatch(entry.name) and _own(entry)]
        for folder in found[:_MOST]:
            with contextlib.suppress(OSError):  # it is held, or another run was quicker
                _remove_unless_held(folder)


def _own(entry: os.DirEntry[str]) -> bool:
    status = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _remove_unless_held(folder: Path) -> None:
    held = os.open(folder, _FLAGS)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(folder)
    finally:
        os.close(held)


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
