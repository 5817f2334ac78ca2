"""What would keep a candidate in on this machine: found by starting one that does nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness.records import Sandbox
from harness.sandbox import scratch, still_open
from harness.subject import view
from harness.subject.child import Child
from harness.subject.limits import Limits


def sandbox() -> Sandbox:
    """The layers that go on, and what stays open; no layer where no candidate could be started."""
    folder = Path(tempfile.gettempdir()) / scratch.name()
    with tempfile.TemporaryFile() as stderr:
        child = Child(folder, stderr)
        try:
            child.make_scratch()
            child.begin(view.plan(folder, folder, (), (), Limits()))
            layers = child.layers()
        finally:
            child.end()
    return Sandbox(layers, still_open(layers))
