"""A shared machine's cores are counted by what this process may use of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.candidate.parent import cores, process

TABLES = {
    "no quota": ("0::/\n", {"cpu.max": "max 100000"}, 96),
    "a quota of the second version": ("0::/\n", {"cpu.max": "200000 100000"}, 2),
    "a part of a core": ("0::/\n", {"cpu.max": "150000 100000"}, 2),
    "less than a core": ("0::/\n", {"cpu.max": "10000 100000"}, 1),
    "of the group above": ("0::/job/step\n", {"job/cpu.max": "300000 100000", "job/step/cpu.max": "max 100000"}, 3),
    "a path that is the machine's": ("0::/docker/3f2a\n", {"cpu.max": "400000 100000"}, 4),
    "the first version": (
        "4:memory:/a\n3:cpu,cpuacct:/a\n",
        {"cpu/a/cpu.cfs_quota_us": "500000", "cpu/a/cpu.cfs_period_us": "100000"},
        5,
    ),
    "no quota of the first version": (
        "3:cpu,cpuacct:/\n",
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
        96,
    ),
    "nonsense": ("0::/\n", {"cpu.max": "a b c"}, 96),
    "no groups": ("", {}, 96),
}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ninety-six cores, and control groups that are files of a test."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(96)), raising=False)
    monkeypatch.setattr(cores, "_CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(cores, "_OWN", tmp_path / "own")
    return tmp_path


@pytest.mark.parametrize("name", TABLES)
def test_cores_are_counted_by_quota(name: str, machine: Path) -> None:
    own, files, expected = TABLES[name]
    (machine / "own").write_text(own)
    for path, text in files.items():
        (machine / "groups" / path).parent.mkdir(parents=True, exist_ok=True)
        (machine / "groups" / path).write_text(text)

    assert cores.cores() == expected


def test_cores_are_counted_by_affinity(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 64})

    assert cores.cores() == 2


def test_a_system_without_affinity_is_counted_whole(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)

    assert cores.cores() == 8


def test_on_ninety_six_cores_the_threads_of_a_candidate_are_bounded(machine: Path) -> None:
    settings = process.environment()

    assert (process.workers(), settings["TF_NUM_INTEROP_THREADS"]) == (16, "16")


def test_a_candidate_s_memory_is_used_again_without_asking_the_system_anew() -> None:
    """Count pages of large buffers in three threads: each is asked of the system once, not in each of ten rounds."""
    script = (
        "import resource\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def used(_): return [bytearray(40_000_000), bytearray(40_000_000)] and None\n"
        "with ThreadPoolExecutor(3) as pool: list(pool.map(used, range(30)))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt * resource.getpagesize())"
    )

    taken = subprocess.run([sys.executable, "-c", script], env=process.environment(), capture_output=True, check=True)

    assert int(taken.stdout) < 10 * 2 * 40_000_000
