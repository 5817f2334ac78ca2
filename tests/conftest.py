"""Fixtures of all tests: one reference model, one fork server, the faulty models; made once, also under xdist."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import harness
from harness.candidate.parent import fork_server as fork_servers
from harness.data import sources
from harness.records import Dataset

sys.path.insert(0, str(Path(__file__).parents[1]))  # after harness, which is the installed one, not the checkout's

from tests.support.commands import ENTRY, python
from tests.support.folders import CI_TOKEN, FAULTS, ROOT, once

COVERED = {*os.environ.get("HARNESS_COVERED", "").split()}  # folders and files of tests/; all without

for name in ("GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD"):  # what the tests judge is not for the job that runs them
    os.environ.pop(name, None)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this session share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def embedded() -> Dataset:
    """The embedded digits."""
    return sources.load("embedded")


@pytest.fixture(scope="session")
def reference_model(shared: Path) -> Path:
    """The reference cnn, trained on the embedded digits."""

    def train(draft: Path) -> None:
        subprocess.run(
            [*python(ENTRY), "train", "--data", "embedded", "--out", str(draft)], check=True, stdout=subprocess.DEVNULL
        )

    return once(shared, "reference.keras", train)


@pytest.fixture(scope="session")
def faulty_models(shared: Path, reference_model: Path) -> Path:
    """A folder of models that are wrong in one known way, and of correct variants."""

    def build(draft: Path) -> None:
        draft.mkdir()
        script = FAULTS / "models.py"
        subprocess.run([sys.executable, "-P", str(script), str(reference_model), str(draft)], check=True)

    return once(shared, "faulty", build)


@pytest.fixture(scope="session")
def lite_models(shared: Path, reference_model: Path, embedded: Dataset) -> Path:
    """A folder of .tflite files made of the reference model, and what it answers to the first 300 embedded digits."""

    def build(draft: Path) -> None:
        np.save(shared / "shown.npy", embedded.images[:300])
        script = [sys.executable, "-P", str(FAULTS / "lite.py")]
        subprocess.run(
            [*script, str(reference_model), str(shared / "shown.npy"), str(draft)], check=True, capture_output=True
        )

    return once(shared, "lite", build)


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Children are forked from one interpreter that has imported Keras: its address."""
    address = tmp_path_factory.mktemp("n") / "s"
    watched = "COVERAGE_PROCESS_CONFIG" in os.environ  # what runs in a child counts, too
    os.environ[CI_TOKEN] = "very private"  # before the server starts, as in CI
    server = fork_servers.start(address, *([str(ROOT)] if watched else []))
    with fork_servers.use(address):
        yield address
    del os.environ[CI_TOKEN]
    server.kill()
    server.wait()


LAYERS = (
    "unit",
    "statistical",
    "process",
    "security",
    "e2e",
    "browser",
    "full_mnist",
    "servers",
)  # what is fast comes first


def pytest_configure(config: pytest.Config) -> None:
    for layer in LAYERS:
        config.addinivalue_line("markers", f"{layer}: set on what lies in tests/{layer}/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Also called for the suites and gates of a run that is tested, which have no layer."""
    tests = ROOT / "tests"
    folders = {
        path: path.relative_to(tests).parts[0] for path in {item.path for item in items} if tests in path.parents
    }
    layers = {path: folder for path, folder in folders.items() if folder in LAYERS}
    for item in items:
        if item.path in layers:
            item.add_marker(layers[item.path])
    items.sort(key=lambda item: LAYERS.index(layers.get(item.path, LAYERS[-1])))


@contextmanager
def covered(path: Path) -> Iterator[None]:
    """Stop coverage, which takes as long as the tests, but for files and folders that ``HARNESS_COVERED`` names."""
    if not COVERED or not path.is_relative_to(ROOT / "tests") or {*path.relative_to(ROOT / "tests").parts} & COVERED:
        yield
        return
    tracer, of_processes = sys.gettrace(), os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
        if of_processes is not None:
            os.environ["COVERAGE_PROCESS_CONFIG"] = of_processes


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    rooms = Path(harness.__file__).parent
    for room in sorted(COVERED & {one.name for one in rooms.iterdir()}):  # with coverage, whoever imports them first
        for module in pkgutil.iter_modules([str(rooms / room)], f"harness.{room}."):
            importlib.import_module(module.name)
    collected = yield
    gc.collect()
    gc.freeze()  # modules are not looked through again by each collection of garbage, a tenth of the time
    return collected


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, object, object]:
    if not isinstance(collector, pytest.Module):
        return (yield)
    with covered(collector.path):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with covered(item.path):
        return (yield)
