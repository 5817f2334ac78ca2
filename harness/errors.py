"""The exceptions that a caller may meet; each holds one line for a person."""

from __future__ import annotations

from harness.formatting import one_line

NO_WINDOWS = "Windows has no sandbox for a candidate; use WSL (wsl --install), where everything runs as on Linux"


class UsageError(Exception):
    """Raised where an input cannot be used: one line with the thing, the rule and the way out; exit code 4."""


class NotRecorded(UsageError):
    """Raised where a record does not hold all that repeating it would take."""


class NotMeasurable(Exception):
    """Raised where there is no image to measure a metric on, so that the number does not exist."""


class Inconclusive(Exception):
    """Raised by a check that can neither pass nor fail on this evidence: one line that says why."""


class SubjectFault(Exception):
    """Raised where the candidate died, hung or sent an invalid response: one line."""


class Refused(Exception):
    """Raised where the candidate's own function raised: ``kind`` is the exception's name."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = one_line(kind, 80)
        super().__init__(f"{self.kind}: {one_line(text, 200)}")


class Unmutable(Exception):
    """Raised where a candidate has nothing that an operator could change: the reason."""


class Unattackable(Exception):
    """Raised where the candidate gives no usable gradients: the reason."""
