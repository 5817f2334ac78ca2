"""Resource limits of a candidate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds until it is loaded, for one response and in all; MB of address space; CPU seconds of all cores
    together.
    """

    start_seconds: float = 120.0
    answer_seconds: float = 60.0
    run_seconds: float = 3600.0
    memory_mb: int = 8192
    cpu_seconds: int = 7200
