"""What would keep a candidate in on this machine: found by starting one that does nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness.candidate.parent import fork_server, visible_files
from harness.candidate.parent.limits import Limits
from harness.candidate.parent.process import Child
from harness.records import Sandbox
from harness.sandbox import still_open, temporary


def sandbox() -> Sandbox:
    """The layers that go on, and what stays open; no layer where no candidate could be started."""
    folder = Path(tempfile.gettempdir()) / temporary.name()
    with tempfile.TemporaryFile() as stderr:
        child = Child(folder, stderr, fork_server.default())
        try:
            child.make_scratch()
            child.begin(visible_files.plan(folder, folder, (), (), Limits()))
            layers = child.layers()
        finally:
            child.end()
    return Sandbox(layers, still_open(layers))
