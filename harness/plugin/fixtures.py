"""What the suites ask for. Registered only while a model is judged, so that no user's fixture is hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from harness.plugin.items import INSPECTION, SHOWN

if TYPE_CHECKING:
    from harness.candidate.parent.subject import Subject
    from harness.records import Dataset, Images, ModelFacts


@pytest.fixture(scope="session")
def subject(pytestconfig: pytest.Config) -> Subject:
    """The candidate, in a process of its own."""
    return pytestconfig.stash[INSPECTION].subject


@pytest.fixture(scope="session")
def dataset(pytestconfig: pytest.Config) -> Dataset:
    """The labelled digits the candidate is judged on."""
    return pytestconfig.stash[INSPECTION].dataset


@pytest.fixture(scope="session")
def candidate(pytestconfig: pytest.Config) -> ModelFacts:
    """What the loaded model says of itself."""
    return pytestconfig.stash[INSPECTION].model


@pytest.fixture(scope="session")
def own_split(pytestconfig: pytest.Config) -> bool:
    """Whether we trained the candidate ourselves, on the training part of this very data."""
    return pytestconfig.stash[INSPECTION].request.own_split


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Callable[[Images], None]:
    """Hand out pictures, (n, 28, 28) uint8, that belong to what a check says, also where it holds: the first ten."""

    def shown(images: Images) -> None:
        request.node.stash[SHOWN] = list(images[:10])

    return shown
