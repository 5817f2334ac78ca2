"""Addresses of Unix sockets within the length that the system allows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def short_address(address: Path) -> Iterator[str]:
    """Yield a path of at most 107 bytes for the socket, if need be through a descriptor of its folder."""
    if len(os.fsencode(address)) < 100:
        yield str(address)
        return
    folder = os.open(address.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{address.name}"
    finally:
        os.close(folder)
