"""Fuzzing of model files: any bytes pass as what they were or are refused in one line; never another exception."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.candidate import scan
from harness.candidate.parent.subject import Subject
from harness.candidate.scan import allowed, tflite
from harness.candidate.scan.budget import Rejected
from harness.errors import SubjectFault, UsageError
from harness.records import Dataset, Probabilities
from tests.support.faults.hostile import members, packed
from tests.support.fuzzing import EDITS, NEAR_THE_START, Edit, edited, many

Read = Callable[[Path], str]

# Reads each file of which it is told in a process of its own: HDF5 is written in C, and may crash.
READER = """
import os, resource, sys
from pathlib import Path
import h5py
from harness.candidate.scan import hdf5
from harness.candidate.scan.budget import Rejected
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        path = Path(line.strip())
        try:
            hdf5.model(path) if path.suffix == ".h5" else hdf5.weights(path.read_bytes())
        except Rejected as rejected:
            os._exit(3 if str(rejected).isprintable() else 4)
        except BaseException:
            os._exit(5)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print({0: "passed", 3: "refused", 4: "unprintable", 5: "raised"}.get(code, f"died {code}"), flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def read() -> Iterator[Read]:
    with subprocess.Popen(
        [sys.executable, "-P", "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        asked, answered = reader.stdin, reader.stdout

        def ask(path: Path) -> str:
            asked.write(f"{path}\n")
            asked.flush()
            return answered.readline().strip()

        yield ask
        asked.close()


@pytest.fixture(scope="module")
def lite(lite_models: Path) -> list[bytes]:
    return [(lite_models / f"{name}.tflite").read_bytes() for name in ("float", "loop")]


def passes(path: Path) -> bool:
    try:
        scan.keras_file(path)
    except Rejected as rejected:
        if str(rejected).isprintable():
            return False
        raise
    return True


@settings(max_examples=many(300), deadline=None)
@given(edits=EDITS)
def test_a_damaged_keras_file_is_refused_or_holds_what_it_held(
    folder: Path, reference_model: Path, edits: list[Edit]
) -> None:
    path = folder / "damaged.keras"
    path.write_bytes(edited(reference_model.read_bytes(), edits))

    assert not passes(path) or members(path) == members(reference_model)


@settings(max_examples=many(300), deadline=None)
@given(edits=EDITS | NEAR_THE_START)
def test_a_damaged_configuration_in_an_intact_archive_is_refused_or_a_configuration(
    folder: Path, reference_model: Path, edits: list[Edit]
) -> None:
    found = members(reference_model)
    path = packed(folder / "forged.keras", {**found, "config.json": edited(found["config.json"], edits)})

    assert not passes(path) or names(json.loads(members(path)["config.json"])) <= KNOWN


KNOWN = allowed.LAYERS | set(allowed.MODELS) | allowed.INITIALIZERS | allowed.REGULARIZERS | allowed.CONSTRAINTS
KNOWN |= allowed.POLICIES | {"function", "__keras_tensor__", "__numpy__", "__tensor__", "__slice__"}


def names(value: object) -> set[str]:
    """Collect the class names, but for what an outer model was compiled with."""
    if isinstance(value, dict):
        own = {str(value["class_name"])} if "class_name" in value else set()
        return own.union(*(names(inner) for key, inner in value.items() if key != "compile_config"))
    return set().union(*map(names, value)) if isinstance(value, list) else set()


STRANGE: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, 0, -1, 10**9, 2**70, 1e308, "", "relu", "deserialize", "../x", "\x1b[31m", [], {}, [[[]]]),
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/x"}},
        {"module": "keras.config", "class_name": "function", "config": "set_floatx", "registered_name": "set_floatx"},
        {"class_name": "__lambda__", "config": {"value": ["", None, None]}},
        {"class_name": "Lambda", "config": {}},
        {"class_name": "__typespec__", "config": [], "module": "os", "registered_name": "x", "spec_name": "y"},
        {"class_name": "__tensor__", "config": {"value": "x", "dtype": "string"}},
    ]
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """List each list or object of a configuration with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


@settings(max_examples=many(300), deadline=None)
@given(data=st.data(), strange=st.lists(STRANGE, min_size=1, max_size=3))
def test_something_strange_anywhere_in_a_configuration_is_refused_or_plain(
    folder: Path, reference_model: Path, data: st.DataObject, strange: list[Any]
) -> None:
    found = members(reference_model)
    config = json.loads(found["config.json"])
    for value in strange:
        inside, key = data.draw(st.sampled_from(list(places(config))))
        inside[key] = copy.deepcopy(value)
    path = packed(folder / "strange.keras", {**found, "config.json": json.dumps(config).encode()})

    assert not passes(path) or names(config) <= KNOWN


@settings(max_examples=many(300), deadline=None)
@given(edits=EDITS | NEAR_THE_START, number=st.integers(0, 1))
def test_a_damaged_tflite_file_is_refused_or_read_within_itself(
    lite: list[bytes], edits: list[Edit], number: int
) -> None:
    said = ""
    try:
        tflite.check(edited(lite[number], edits))
    except Rejected as rejected:
        said = str(rejected)

    assert said.isprintable()


@settings(max_examples=many(200), deadline=None)
@given(data=st.data(), strange=st.lists(STRANGE, min_size=1, max_size=3), bare=st.booleans())
def test_something_strange_in_a_configuration_of_keras_2_is_refused_or_plain(
    folder: Path, reference_model: Path, data: st.DataObject, strange: list[Any], bare: bool
) -> None:
    found = members(reference_model)
    config = json.loads(found["config.json"])
    if bare:
        config["config"] = config["config"]["layers"]
    for value in strange:
        inside, key = data.draw(st.sampled_from(list(places(config))))
        inside[key] = copy.deepcopy(value)
    older = {**found, "metadata.json": b'{"keras_version": "2.12.0"}', "config.json": json.dumps(config).encode()}

    assert not passes(packed(folder / "older.keras", older)) or names(config) <= KNOWN | allowed.KERAS_2.layers


@settings(max_examples=many(200), deadline=None)
@given(edits=EDITS | NEAR_THE_START, whole=st.booleans())
def test_a_damaged_hdf5_file_is_refused_or_passes(
    folder: Path, faulty_models: Path, reference_model: Path, read: Read, edits: list[Edit], whole: bool
) -> None:
    """Accept either result, since HDF5 keeps no checksum of numbers, and one that is changed is another number."""
    good = (faulty_models / "good.h5").read_bytes() if whole else members(reference_model)["model.weights.h5"]
    path = folder / ("damaged.h5" if whole else "damaged.weights")
    path.write_bytes(edited(good, edits))

    assert read(path) in ("passed", "refused")


@pytest.fixture(scope="module")
def answers(reference_model: Path, fork_server: Path, embedded: Dataset) -> Probabilities:
    with Subject.start(reference_model) as subject:
        return subject.predict(embedded.images[:20])


@settings(max_examples=many(15), deadline=None)
@given(edits=EDITS, h5=st.booleans())
def test_a_damaged_model_answers_as_before_or_is_refused_in_one_line(
    folder: Path,
    reference_model: Path,
    faulty_models: Path,
    answers: Probabilities,
    embedded: Dataset,
    edits: list[Edit],
    h5: bool,
) -> None:
    """Load a damaged model in a child, which answers as before or refuses it."""
    good = faulty_models / "good.h5" if h5 else reference_model
    path = folder / f"model{good.suffix}"
    path.write_bytes(edited(good.read_bytes(), edits))

    said = asked(path, embedded)

    assert said.isprintable() if isinstance(said, str) else h5 or np.array_equal(said, answers)


def asked(path: Path, digits: Dataset) -> Probabilities | str:
    """Return a model's answers, or the reason why there are none."""
    try:
        with Subject.start(path) as subject:
            return subject.predict(digits.images[:20])
    except (UsageError, SubjectFault) as refused:
        return str(refused)


def test_memory_stays_small_whatever_a_file_declares(folder: Path, reference_model: Path) -> None:
    """Bound the memory of the process that scans archives of blanks, of brackets and of members."""
    found = members(reference_model)
    bombs = {
        "blanks": {**found, "config.json": b" " * (1 << 28)},
        "brackets": {**found, "config.json": b"[" * (4 << 20)},
        "values": {**found, "config.json": b"[" + b"[]," * 1_300_000 + b"0]"},
        "zeros": {**found, "model.weights.h5": bytes(1 << 28)},
    }
    for name, content in bombs.items():
        packed(folder / f"{name}.keras", content)
    with zipfile.ZipFile(folder / "members.keras", "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number:0100}", b"")
    paths = [str(folder / f"{name}.keras") for name in (*bombs, "members")]
    code = (
        "import sys; from pathlib import Path; from harness.candidate import scan\n"
        "for path in sys.argv[1:]:\n    try: scan.keras_file(Path(path))\n    except scan.Rejected: print('refused')\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )

    done = subprocess.run([sys.executable, "-P", "-c", code, *paths], capture_output=True, text=True, check=True)
    *refused, peak = done.stdout.split()

    assert refused == ["refused"] * len(paths)
    assert int(peak) < 300_000  # KiB
