"""A probe of this machine's sandbox: starts a child that does nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness.candidate.parent import fork_server, visible_files
from harness.candidate.parent.limits import Limits
from harness.candidate.parent.process import Child
from harness.records import Sandbox
from harness.sandbox import still_open, temporary


def sandbox() -> Sandbox:
    """Return the layers that are active and what stays possible; no layer where no child could be started."""
    folder = Path(tempfile.gettempdir()) / temporary.name()
    with tempfile.TemporaryFile() as stderr:
        child = Child(folder, stderr, fork_server.default())
        try:
            child.make_folder()
            child.begin(visible_files.plan(folder, folder, (), (), Limits()))
            layers = child.layers()
        finally:
            child.end()
    return Sandbox(layers, still_open(layers))
