"""Scan of a zoo of good models: every kind of layer passes, and is as large as Keras says."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.candidate import scan
from harness.candidate.scan import allowed, hdf5, sizes
from harness.candidate.scan.budget import Rejected
from tests.support.folders import FAULTS, once


@pytest.fixture(scope="session")
def zoo(shared: Path) -> Path:
    def build(draft: Path) -> None:
        script = FAULTS / "zoo.py"
        subprocess.run([sys.executable, "-P", str(script), str(draft)], check=True, capture_output=True)

    made = once(shared, "zoo", build)
    assert len(list(made.glob("*.keras"))) > 100
    return made


@pytest.fixture(scope="session")
def facts(zoo: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((zoo / "facts.json").read_text())
    assert set(found) == {path.stem for path in zoo.glob("*.keras")}
    return found


def configuration(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read("config.json"))
    return found


def refusals(paths: Iterator[Path], look: Callable[[Path], object]) -> dict[str, str]:
    found = {}
    for path in paths:
        try:
            look(path)
        except Rejected as rejected:
            found[path.name] = str(rejected)
    return found


def weights(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        hdf5.weights(archive.read("model.weights.h5"))


def test_every_keras_file_passes(zoo: Path) -> None:
    assert refusals(zoo.glob("*.keras"), scan.keras_file) == {}


def test_all_their_weights_pass(zoo: Path) -> None:
    assert refusals(zoo.glob("*.keras"), weights) == {}


def test_every_h5_file_passes(zoo: Path) -> None:
    assert len(list(zoo.glob("*.h5"))) > 5
    assert refusals(zoo.glob("*.h5"), hdf5.model) == {}


def classes(value: object) -> set[str]:
    if isinstance(value, dict):
        inner = set().union(*map(classes, value.values()), set())
        return inner | ({value["class_name"]} if "class_name" in value else set())
    return set().union(*map(classes, value), set()) if isinstance(value, list) else set()


def test_every_layer_of_the_list_is_in_the_zoo(zoo: Path) -> None:
    """Compare the zoo with the list, but for the older name of one layer."""
    seen = set().union(*(classes(configuration(path)) for path in zoo.glob("*.keras")))

    assert allowed.LAYERS - seen == {"GroupedQueryAttention"}


def test_outputs_are_as_keras_says(zoo: Path, facts: Mapping[str, Any]) -> None:
    found = {name: list(sizes.of(configuration(zoo / f"{name}.keras"), None).output) for name in facts}

    assert found == {name: said["output"] for name, said in facts.items()}


def test_no_model_is_larger_than_it_is_counted(zoo: Path, facts: Mapping[str, Any]) -> None:
    counted = {name: sizes.of(configuration(zoo / f"{name}.keras"), None) for name in facts}

    too_small = [name for name, said in facts.items() if counted[name].parameters < said["parameters"]]
    too_narrow = [name for name, said in facts.items() if counted[name].largest < said["largest"]]

    assert (too_small, too_narrow) == ([], [])


def test_parameters_are_not_counted_much_too_high(zoo: Path, facts: Mapping[str, Any]) -> None:
    """A layer with an equation of its own is."""
    counted = {name: sizes.of(configuration(zoo / f"{name}.keras"), None).parameters for name in facts}

    too_large = [name for name, said in facts.items() if counted[name] > 1.1 * said["parameters"] + 100]

    assert too_large == ["attention"]
