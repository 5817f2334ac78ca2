"""The exceptions that a caller may meet; each holds one line for a person."""

from __future__ import annotations

from harness.formatting import one_line


class UsageError(Exception):
    """Something from outside cannot be used: one line that names the thing, the rule and the way out; exit code 4."""


class NotMeasurable(Exception):
    """There is no image to measure this on, so the number does not exist."""


class Inconclusive(Exception):
    """Raised by a check that can neither pass nor fail on this evidence: one line that says why."""


class SubjectFault(Exception):
    """The candidate died, hung or answered with something that is no answer: one line."""


class Refused(Exception):
    """The candidate's own function raised: ``kind`` is the exception's name."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = one_line(kind, 80)
        super().__init__(f"{self.kind}: {one_line(text, 200)}")


class Unattackable(Exception):
    """The candidate gives no gradients that could be followed: the reason."""
