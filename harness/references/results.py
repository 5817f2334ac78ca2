"""Results of four references on corrupted MNIST, measured by ``benchmarks/panel.py`` and shipped as results.json.

A number of the panel means something beside a candidate's only where both were judged on the same test digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from harness.records import CLEAN, DataFacts, Severity, Trial

FILE = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Reference:
    """A reference and the number of test digits it gets wrong."""

    about: str
    trained_on: int  # images
    clean: int
    wrong: Mapping[str, tuple[int, int, int, int, int]]  # by corruption, at severities 1 to 5


@dataclass(frozen=True)
class ReferenceResults:
    """The results that ``recipe`` measured, with data, date and versions."""

    format: int
    recipe: str
    recipe_sha256: str
    date: str
    versions: Mapping[str, str]
    seed: int  # of the corruptions
    training_seed: int
    corruptions_sha256: str  # of the golden bytes of every corruption measured
    data: str
    data_sha256: str
    n: int  # test images
    cpu_seconds: int
    members: Mapping[str, Reference]

    def error(self, name: str, trial: Trial) -> float | None:
        """Compute the share of the test digits that a member gets wrong; None where it was not measured."""
        member = self.members[name]
        if trial == CLEAN:
            return member.clean / self.n
        if not isinstance(trial, Severity) or trial.name not in member.wrong:
            return None
        return member.wrong[trial.name][trial.level - 1] / self.n


@cache
def load() -> ReferenceResults:
    """Load the results that ship with this version."""
    return TypeAdapter(ReferenceResults).validate_json(FILE.read_bytes())


def measured_on(data: DataFacts) -> ReferenceResults | None:
    """Return the results if they were measured on these very test digits; else None."""
    panel = load()
    return panel if panel.data_sha256 == data.sha256 else None
