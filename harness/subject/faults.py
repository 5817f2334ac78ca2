"""What can go wrong with a candidate while it is asked, each one line."""

from __future__ import annotations

from harness.words import one_line


class SubjectFault(Exception):
    """The candidate died, hung or answered with something that is no answer: one line."""


class Refused(Exception):
    """The candidate's own function raised: ``kind`` is the exception's name."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = one_line(kind, 80)
        super().__init__(f"{self.kind}: {one_line(text, 200)}")


class Unattackable(Exception):
    """The candidate gives no gradients that could be followed: the reason."""
