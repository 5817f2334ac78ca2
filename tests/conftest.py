"""What the tests share: one reference model, one nursery, the faulty models; made once, also under xdist."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from harness.candidate.parent.process import FORK_SERVER, start_fork_server
from harness.data import sources
from harness.records import Dataset

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # so that tests import one another as tests.*; harness is the installed one


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this session share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


def once(folder: Path, name: str, make: Callable[[Path], object]) -> Path:
    """``folder / name``, made by the first worker that asks for it."""
    path = folder / name
    with FileLock(folder / f"{name}.lock"):
        if not path.exists():
            draft = folder / f"draft-{name}"
            make(draft)
            draft.rename(path)
    return path


@pytest.fixture(scope="session")
def embedded() -> Dataset:
    """The embedded digits."""
    return sources.load("embedded")


@pytest.fixture(scope="session")
def reference_model(shared: Path) -> Path:
    """The reference cnn, trained on the embedded digits."""

    def train(draft: Path) -> None:
        command = [sys.executable, "-P", "-c", "from harness.cli import entry; entry()", "train"]
        subprocess.run([*command, "--data", "embedded", "--out", str(draft)], check=True, stdout=subprocess.DEVNULL)

    return once(shared, "reference.keras", train)


@pytest.fixture(scope="session")
def faulty_models(shared: Path, reference_model: Path) -> Path:
    """A folder of models that are wrong in one known way, and of correct variants."""

    def build(draft: Path) -> None:
        draft.mkdir()
        script = HERE / "faults" / "models.py"
        subprocess.run([sys.executable, "-P", str(script), str(reference_model), str(draft)], check=True)

    return once(shared, "faulty", build)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Children are forked from one interpreter that has imported Keras."""
    address = str(tmp_path_factory.mktemp("n") / "s")
    watched = "COVERAGE_PROCESS_CONFIG" in os.environ  # what runs in a child counts, too
    server = start_fork_server(address, *([str(HERE.parent)] if watched else []))
    os.environ[FORK_SERVER] = address
    yield
    del os.environ[FORK_SERVER]
    server.kill()
    server.wait()
