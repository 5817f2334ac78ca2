"""A probe of this machine: starts a candidate's process without a candidate."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness.candidate.parent import fork_server, visible_files
from harness.candidate.parent.limits import Limits
from harness.candidate.parent.process import Child
from harness.records import Sandbox
from harness.sandbox import still_open, temporary

_PROBE = "harness.candidate.child.probe"


def probe() -> tuple[Sandbox, str]:
    """Return the layers that are active and what stays possible, and why no model can be loaded here; empty if one can.

    No layer where no child could be started.
    """
    folder, limits = Path(tempfile.gettempdir()) / temporary.name(), Limits()
    with tempfile.TemporaryFile() as stderr:
        child = Child(folder, stderr, fork_server.default(), _PROBE)
        try:
            child.make_folder()
            child.begin(visible_files.plan(folder, folder, (), (), limits))
            layers = child.layers()
            child.stdin.close()  # a worker of a fork server waits for requests
            why = "" if child.wait(limits.start_seconds) == 0 else child.obituary()
        except TimeoutError:
            why = f"it has not started within {limits.start_seconds:g} s"
        finally:
            child.end()
    return Sandbox(layers, still_open(layers)), why
