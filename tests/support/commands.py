"""The command line in a process of its own."""

from __future__ import annotations

import sys

from harness.candidate.parent import fork_server

ENTRY = "from harness.cli import entry; entry()"


def python(code: str) -> list[str]:
    """The command of an interpreter that runs one line of ``code``; its candidates are forked as this process's are."""
    address = fork_server.default()
    use = f"from harness.candidate.parent import fork_server\nwith fork_server.use({str(address)!r}): "
    return [sys.executable, "-P", "-c", (use if address else "") + code]
