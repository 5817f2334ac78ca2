"""What keeps a candidate in. Each layer is put on where the system has it, and named; what stays open is named, too.

Nothing heavy is imported here: the layers go on before the candidate's interpreter imports anything.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from importlib import util

from harness.sandbox import kernel, landlock, namespaces, seccomp

LAYERS = (
    "user namespace", "pid namespace", "network namespace", "ipc namespace", "mount namespace",
    "landlock", "no capabilities", "system call filter", "subreaper", "limits", "process limit",
)  # fmt: skip
# What must not happen, and the layers of which any one prevents it.
HELD = {
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
_OPEN_FILES, _FILE_BYTES, _PROCESSES = 256, 64 << 20, 256


@dataclass(frozen=True)
class Plan:
    """What one candidate may see and take, beside its interpreter and the installed packages."""

    scratch: str  # a folder of its own, gone when all its processes have ended
    readable: tuple[str, ...]
    listed: tuple[str, ...]  # folders whose names may be seen, for the sake of what may be read there
    hidden: tuple[str, ...]  # not seen even where a readable folder holds it
    memory_bytes: int  # of address space
    cpu_seconds: int  # of all cores together
    measured: tuple[str, ...] = ()  # where a coverage tool that watches the tests keeps its figures: may be written to

    @property
    def work(self) -> str:
        """The one folder that may be written to; what HOME and TMPDIR name."""
        return os.path.join(self.scratch, "work")  # noqa: PTH118 - light


def still_open(layers: tuple[str, ...]) -> tuple[str, ...]:
    """What a candidate may still do under these layers."""
    names = {layer.partition(" abi ")[0] for layer in layers}
    return tuple(deed for deed, preventers in HELD.items() if not names & preventers)


def enter(plan: Plan, apart: list[str]) -> list[str]:
    """Give up, for good, what the plan does not name; ``apart`` are the namespaces this process is in already.

    Returns the layers that are on, in an order of their own.
    """
    layers = list(apart)
    readable = [*_installed(), *plan.readable]
    view = os.path.join(plan.scratch, "root")  # noqa: PTH118
    for folder in (plan.work, view):
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    hidden = sorted({*plan.hidden, *map(os.path.realpath, plan.hidden)})
    seen, mixed = _seen(readable, hidden)
    with contextlib.suppress(OSError):
        namespaces.see_only(
            [*(path for path in readable if not path.startswith("/proc/self")), "/dev/null"],
            (plan.work, *plan.measured),
            hidden,
            view,
        )
        layers.append("mount namespace")
    with contextlib.suppress(OSError):
        version = landlock.restrict(seen, [plan.work, "/dev/null", *plan.measured], [*plan.listed, *mixed])
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
    """Bound what this process and its children may take; returns the layers that are on."""
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_FSIZE: _FILE_BYTES,
        resource.RLIMIT_CPU: plan.cpu_seconds,
        resource.RLIMIT_AS: plan.memory_bytes,
    }
    counted = "user namespace" in apart and os.getuid() != 0  # counted apart from the user's others; root's are not
    if counted:
        bounds[resource.RLIMIT_NPROC] = _PROCESSES + 8 * (os.cpu_count() or 1)
    try:
        for what, most in bounds.items():
            _, now = resource.getrlimit(what)
            most = most if now == resource.RLIM_INFINITY else min(most, now)
            more = most + 1 if what == resource.RLIMIT_CPU and most != now else most  # a second to be told apart
            resource.setrlimit(what, (most, more))
    except (OSError, ValueError):
        return []
    return ["limits", "process limit"] if counted else ["limits"]


def _installed() -> list[str]:
    """The system's libraries, the interpreter's and the packages: folders that hold no file of a user."""
    paths = sysconfig.get_paths()
    found = [
        os.path.realpath(sys.executable),
        *(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    ]
    found += [os.path.join(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix, sys.base_exec_prefix)]  # noqa: PTH118
    for name in _PACKAGES:
        spec = util.find_spec(name)
        found += spec.submodule_search_locations or () if spec else ()
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return sorted({place for place in (*_SYSTEM, *found, *libraries) if place.startswith("/")})


def _seen(readable: list[str], hidden: list[str]) -> tuple[list[str], list[str]]:
    """Places that hold nothing hidden; and folders that do, which are replaced by their other entries."""
    seen, mixed = [], []
    for place in readable:
        real = os.path.realpath(place)
        if not any(_holds(real, path) for path in hidden):
            seen.append(place)
        elif real not in hidden and os.path.isdir(real):  # noqa: PTH112
            mixed.append(real)
            entries = (os.path.join(real, name) for name in os.listdir(real))  # noqa: PTH118, PTH208
            seen += [entry for entry in entries if not any(_holds(entry, path) for path in hidden)]
    return seen, mixed


def _holds(place: str, path: str) -> bool:
    return path == place or path.startswith(f"{place.rstrip('/')}/")
