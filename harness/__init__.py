"""Decide whether a digit classifier may be released, and say how sure the decision is.

The names in ``__all__`` are the public API; nothing else is promised. Each is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself takes longer to import than the rest
if TYPE_CHECKING:
    from harness.candidate.mutation import MUTATIONS
    from harness.corruptions import CORRUPTIONS
    from harness.errors import NotMeasurable, UsageError
    from harness.metrics import METRICS
    from harness.records import Finding, Measurement
    from harness.run.api import compare, corrupt, evaluate, judge, load, measure, qualify, rejudge
    from harness.run.result import Comparison, Measurements, Result

__version__ = "0.1.0"
__all__ = [
    "CORRUPTIONS",
    "METRICS",
    "MUTATIONS",
    "Comparison",
    "Finding",
    "Measurement",
    "Measurements",
    "NotMeasurable",
    "Result",
    "UsageError",
    "compare",
    "corrupt",
    "evaluate",
    "judge",
    "load",
    "measure",
    "qualify",
    "rejudge",
]

_MODULES = {
    "harness.candidate.mutation": ("MUTATIONS",),
    "harness.corruptions": ("CORRUPTIONS",),
    "harness.errors": ("NotMeasurable", "UsageError"),
    "harness.metrics": ("METRICS",),
    "harness.records": ("Finding", "Measurement"),
    "harness.run.api": ("compare", "corrupt", "evaluate", "judge", "load", "measure", "qualify", "rejudge"),
    "harness.run.result": ("Comparison", "Measurements", "Result"),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            import sys
            from importlib import import_module

            if sys.platform == "win32":
                raise ImportError(import_module("harness.errors").NO_WINDOWS)

            attribute: object = getattr(import_module(module), name)
            return attribute
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
