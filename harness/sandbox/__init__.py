"""The sandbox of a candidate. Each layer is activated where the system has it, and named; so is what stays possible.

Nothing heavy is imported here: the layers go on before the candidate's interpreter imports anything.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from harness.sandbox import kernel, landlock, namespaces, seccomp

LAYERS = (
    "user namespace", "pid namespace", "network namespace", "ipc namespace", "mount namespace",
    "landlock", "no capabilities", "system call filter", "subreaper", "limits", "process limit",
)  # fmt: skip
# What must not happen, and the layers of which any one prevents it.
PREVENTED_BY = {
    "read or change other files": {"landlock", "mount namespace"},
    "reach the network": {"network namespace", "system call filter"},
    "start programs": {"landlock", "system call filter"},
    "leave processes behind": {"pid namespace", "subreaper"},
    "take memory, time and disk without end": {"limits"},
}
_SYSTEM = (
    "/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache", "/nix/store", "/gnu/store",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/self/cmdline", "/sys/devices/system/cpu", "/dev/urandom",
)  # fmt: skip
_PACKAGES = ("harness", "keras", "tensorflow", "numpy", "scipy", "h5py")  # wherever they are installed
_DENIED = (
    "execve", "execveat", "socket", "ptrace", "process_vm_readv", "process_vm_writev", "unshare", "setns", "mount",
    "move_mount", "open_tree", "fsopen", "mount_setattr", "pivot_root", "keyctl", "add_key", "request_key", "bpf",
    "perf_event_open", "userfaultfd", "io_uring_setup",
)  # fmt: skip
_MAX_OPEN_FILES, _MAX_FILE_BYTES, _MAX_PROCESSES = 256, 64 << 20, 256


@dataclass(frozen=True)
class Plan:
    """Files and resources that one candidate may use, beside its interpreter and the installed packages."""

    folder: str  # a folder of its own, gone when all its processes have ended
    readable: tuple[str, ...]
    listed: tuple[str, ...]  # folders whose names may be seen, for the sake of what may be read there
    hidden: tuple[str, ...]  # not seen even where a readable folder holds it
    memory_bytes: int  # of address space
    cpu_seconds: int  # of all cores together
    measured: tuple[str, ...] = ()  # where a coverage tool that watches the tests keeps its figures: may be written to

    @property
    def work(self) -> str:
        """Return the one folder that may be written to, which HOME and TMPDIR name."""
        return os.path.join(self.folder, "work")  # noqa: PTH118 - light


def still_open(layers: tuple[str, ...]) -> tuple[str, ...]:
    """List the deeds that these layers do not prevent."""
    names = {layer.partition(" abi ")[0] for layer in layers}
    return tuple(deed for deed, preventers in PREVENTED_BY.items() if not names & preventers)


def enter(plan: Plan, apart: list[str]) -> list[str]:
    """Give up, for good, all rights that the plan does not name; ``apart`` are the namespaces this process is in
    already.

    Returns the layers that are on, in an order of their own.
    """
    layers = list(apart)
    readable = [*_installed(), *plan.readable]
    root = os.path.join(plan.folder, "root")  # noqa: PTH118
    for folder in (plan.work, root):
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    hidden = sorted({*plan.hidden, *map(os.path.realpath, plan.hidden)})
    visible, mixed = _visible(readable, hidden)
    with contextlib.suppress(OSError):
        namespaces.see_only(
            [*(path for path in readable if not path.startswith("/proc/self")), "/dev/null"],
            (plan.work, *plan.measured),
            hidden,
            root,
        )
        layers.append("mount namespace")
    with contextlib.suppress(OSError):
        version = landlock.restrict(
            visible, [plan.work, "/dev/null", *plan.measured], [*plan.listed, *mixed, *sys.path]
        )
        layers.append(f"landlock abi {version}")
    with contextlib.suppress(OSError):
        kernel.drop_capabilities()
        layers.append("no capabilities")
    with contextlib.suppress(OSError):
        seccomp.forbid(_DENIED)
        layers.append("system call filter")
    os.chdir(plan.work)
    os.environ.update(HOME=plan.work, TMPDIR=plan.work)
    tempfile.tempdir = None  # a fork of a fork server may know another one
    layers += limit(plan, apart)
    return sorted(layers, key=lambda layer: LAYERS.index(layer.partition(" abi ")[0]))


def limit(plan: Plan, apart: list[str]) -> list[str]:
    """Bound the resources of this process and its children; returns the layers that are active."""
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _MAX_OPEN_FILES,
        resource.RLIMIT_FSIZE: _MAX_FILE_BYTES,
        resource.RLIMIT_CPU: plan.cpu_seconds,
        resource.RLIMIT_AS: plan.memory_bytes,
    }
    counted = "user namespace" in apart and os.getuid() != 0  # counted apart from the user's others; root's are not
    if counted:
        bounds[resource.RLIMIT_NPROC] = _MAX_PROCESSES + 8 * (os.cpu_count() or 1)
    try:
        for limited, bound in bounds.items():
            _, now = resource.getrlimit(limited)
            bound = bound if now == resource.RLIM_INFINITY else min(bound, now)
            more = bound + 1 if limited == resource.RLIMIT_CPU and bound != now else bound  # a second to be told apart
            resource.setrlimit(limited, (bound, more))
    except (OSError, ValueError):
        return []
    return ["limits", "process limit"] if counted else ["limits"]


def _installed() -> list[str]:
    """List the folders of the system's libraries, the interpreter and the packages, which hold no file of a user."""
    paths = sysconfig.get_paths()
    places = [
        os.path.realpath(sys.executable),
        *(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    ]
    places += [os.path.join(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix, sys.base_exec_prefix)]  # noqa: PTH118
    for name in _PACKAGES:
        spec = util.find_spec(name)
        places += spec.submodule_search_locations or () if spec else ()
    for place in filter(None, sys.path):
        with contextlib.suppress(OSError):  # a place that may not be entered
            places += map(str, _packages(Path(place)))
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return sorted({place for place in (*_SYSTEM, *places, *libraries) if place.startswith("/")})


def _packages(place: Path) -> Iterator[Path]:
    """List what a place on the path may show: all of a folder of installed packages, and what its links lead to; of
    any other, which may be a user's project, the packages and modules.
    """
    entries = list(place.iterdir()) if place.is_dir() else []
    if not entries or any(entry.suffix == ".dist-info" for entry in entries):
        yield place  # a zip archive, too
        for entry in entries:
            yield from _link_targets(entry)
    else:
        yield from (entry for entry in entries if entry.suffix in (".py", ".so") or (entry / "__init__.py").exists())


def _link_targets(entry: Path) -> Iterator[Path]:
    """Name what a link leads to, and the folder of a package of which each file is a link, as uv can install it."""
    if entry.is_symlink():
        yield entry.resolve()
    elif entry.suffix == ".dist-info" and (facts := entry / "METADATA").is_symlink():
        yield facts.resolve().parents[1]


def _visible(readable: list[str], hidden: list[str]) -> tuple[list[str], list[str]]:
    """Return the places that hold nothing hidden; and folders that do, which are replaced by their other entries."""
    visible, mixed = [], []
    for place in readable:
        real = os.path.realpath(place)
        if not any(_holds(real, path) for path in hidden):
            visible.append(place)
        elif real not in hidden and os.path.isdir(real):  # noqa: PTH112
            mixed.append(real)
            entries = (os.path.join(real, name) for name in os.listdir(real))  # noqa: PTH118, PTH208
            visible += [entry for entry in entries if not any(_holds(entry, path) for path in hidden)]
    return visible, mixed


def _holds(place: str, path: str) -> bool:
    return path == place or path.startswith(f"{place.rstrip('/')}/")
