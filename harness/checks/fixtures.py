"""Fixtures of the suites. Registered only while a model is judged, so that no user's fixture is hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.candidate.parent.subject import Subject
    from harness.records import Dataset, Images, Lowering, ModelFacts, Waiver

NAMES = ("subject", "dataset", "candidate", "own_split", "show")


@dataclass(frozen=True)
class Context:
    """The objects that the suites check."""

    subject: Subject
    dataset: Dataset
    own_split: bool
    lowered: Mapping[str, Lowering] = field(default_factory=dict)  # by check id
    waivers: Mapping[str, Waiver] = field(default_factory=dict)  # by finding id


CONTEXT: pytest.StashKey[Context] = pytest.StashKey()
SHOWN: pytest.StashKey[Sequence[Images]] = pytest.StashKey()  # on an item: pictures that its check hands out


@pytest.fixture(scope="session")
def subject(pytestconfig: pytest.Config) -> Subject:
    """Return the candidate, in a process of its own."""
    return pytestconfig.stash[CONTEXT].subject


@pytest.fixture(scope="session")
def dataset(pytestconfig: pytest.Config) -> Dataset:
    """Return the labelled digits the candidate is judged on."""
    return pytestconfig.stash[CONTEXT].dataset


@pytest.fixture(scope="session")
def candidate(pytestconfig: pytest.Config) -> ModelFacts:
    """Return the facts that the loaded model states of itself."""
    return pytestconfig.stash[CONTEXT].subject.facts()


@pytest.fixture(scope="session")
def own_split(pytestconfig: pytest.Config) -> bool:
    """Return whether the harness trained the candidate itself, on the training part of this very data."""
    return pytestconfig.stash[CONTEXT].own_split


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Callable[[Images], None]:
    """Return a function that attaches pictures, (n, 28, 28) uint8, to the check's finding: the first ten."""

    def shown(images: Images) -> None:
        request.node.stash[SHOWN] = list(images[:10])

    return shown
