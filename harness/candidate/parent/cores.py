"""Number of processor cores that this process may use; on shared machines fewer than there are."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def cores() -> int:
    """Count the cores that the affinity of this process and the quotas of its control groups leave; at least one."""
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([given, *map(math.ceil, _quotas())]))


def _quotas() -> Iterator[float]:
    """Read the cores that each control group of this process, and each that holds it, may use at a time."""
    with contextlib.suppress(OSError, ValueError):
        for line in _OWN.read_text().splitlines():
            _, names, path = line.split(":", 2)
            if names and "cpu" not in names.split(","):
                continue
            folder = _CGROUPS / ("cpu" if names else "")
            here = folder / path.lstrip("/")
            for group in (here, *here.parents):  # in a container the path may be of the machine and not be here
                if group.is_relative_to(folder):
                    yield from _quota(group)


def _quota(group: Path) -> Iterator[float]:
    for read in (_second_version, _first_version):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = read(group)
            if quota > 0:
                yield quota / period


def _second_version(group: Path) -> tuple[int, int]:
    quota, period = (group / "cpu.max").read_text().split()
    return int(quota), int(period)  # "max" is no number


def _first_version(group: Path) -> tuple[int, int]:
    return int((group / "cpu.cfs_quota_us").read_text()), int((group / "cpu.cfs_period_us").read_text())
