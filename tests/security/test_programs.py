"""SavedModels that write, read or never end: behind the scan stands the sandbox, and behind that the clock."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.candidate.parent.limits import Limits
from harness.candidate.parent.subject import Subject
from harness.cli import main
from harness.errors import Refused, SubjectFault, UsageError
from harness.outputs import run_json
from tests.support.faults.hostile import PROGRAMS, SECRET
from tests.support.folders import FAULTS, ROOT

# What the child runs before it loads the model: the scan lets everything through.
UNSCANNED = (
    "from harness.references.preprocessing import normalize, one_hot\n"
    "from harness.candidate.scan import savedmodel\n\n"
    "savedmodel.check = lambda folder: None\n"
)
IMAGES = np.zeros((5, 28, 28), np.uint8)
MAKE = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import tensorflow as tf
from tests.support.faults import hostile

def endless(number):
    # with chance in it, so that TensorFlow does not leave it out where nobody asks for its result
    return tf.while_loop(lambda at: at >= 0.0, lambda at: (at * tf.random.uniform([]),), (number,))[0]

def answers(place):
    return hostile.saved(place, lambda pixels: pixels + endless(tf.reduce_sum(pixels) * 0.0))

def loads(place):
    class Resource(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        def _initialize(self):
            endless(tf.random.uniform([]))
    module = tf.Module()
    module.resource = Resource()
    with tf.init_scope():
        module.resource._resource_handle = module.resource._create_resource()
    return hostile.saved(place, lambda pixels: pixels, module)

home = Path(sys.argv[2])
for name, make in {**hostile.PROGRAMS, "answers": answers, "loads": loads}.items():
    (home / name).mkdir()
    make(hostile.Place(home, home, home / name))
"""
CARELESS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import keras
from tests.support.faults import hostile

def harmful(folder):
    gave_away = hostile.forked(lambda: hostile.SECRET.decode() in hostile.careless(folder / "saved"))
    marked = any(folder.glob("mark*"))
    hostile.wipe(hostile.Place(folder, folder, folder))
    return gave_away or marked

print(json.dumps([name for name in hostile.PROGRAMS if harmful(Path(sys.argv[2], name))]))
"""
SOON = Limits(start_seconds=40.0, answer_seconds=5.0)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of hostile SavedModels, where they may leave their marks: each in a folder of its own."""
    home = tmp_path_factory.mktemp("programs")
    command = [sys.executable, "-P", "-c", MAKE, str(ROOT), str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return home


@pytest.fixture
def unscanned(tmp_path: Path, fork_server: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A preprocessing module that turns the scan off, as one of a candidate could."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.py").write_text(UNSCANNED)
    return "steps"


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_the_scan_would_let_through_the_sandbox_stops(name: str, programs: Path, unscanned: str) -> None:
    with Subject.start(programs / name / "saved", preprocess=unscanned) as subject:
        said = told(subject)

    assert not list((programs / name).glob("mark*"))
    assert "not on the list" not in said
    assert "which may read files or run" not in said
    assert SECRET.decode() not in said


def told(subject: Subject) -> str:
    """Return facts and answers of a subject, or its error."""
    try:
        return f"{subject.facts()} {subject.predict(IMAGES)}"
    except (UsageError, Refused, SubjectFault) as error:
        return str(error)


def test_loaded_carelessly_the_same_files_do_it(programs: Path) -> None:
    command = [sys.executable, "-P", "-c", CARELESS, str(ROOT), str(programs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert json.loads(done.stdout.splitlines()[-1]) == list(PROGRAMS), done.stderr[-2000:]


def test_a_graph_that_never_answers_is_ended(programs: Path, fork_server: Path) -> None:
    """End a graph of arithmetic alone, which the scan lets through."""
    with Subject.start(programs / "answers" / "saved", limits=SOON) as subject:
        subject.facts()
        pid = subject.pid
        with pytest.raises(SubjectFault, match="no answer within 5 s"):
            subject.predict(IMAGES)

    assert not Path(f"/proc/{pid}").exists()


def test_a_graph_that_never_ends_to_load_is_ended(programs: Path, unscanned: str) -> None:
    with Subject.start(
        programs / "loads" / "saved", preprocess=unscanned, limits=replace(SOON, start_seconds=10.0)
    ) as subject:
        pid = subject.pid
        with pytest.raises(UsageError, match="no answer within"):
            subject.facts()

    assert not Path(f"/proc/{pid}").exists()


def test_a_graph_that_never_ends_to_load_is_refused_by_the_scan(programs: Path, fork_server: Path) -> None:
    with (
        Subject.start(programs / "loads" / "saved") as subject,
        pytest.raises(UsageError, match="may read files or run"),
    ):
        subject.facts()


def test_a_run_over_a_graph_that_never_answers_ends_without_a_pass(
    programs: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (FAULTS / "accuracy.toml").read_text()
    Path("policy.toml").write_text(text.replace("answer_seconds = 30.0", "answer_seconds = 5.0"))
    model = str(programs / "answers" / "saved")

    code = main(["run", model, "--data", "embedded", "--policy", "policy.toml", "--out", "out"])

    reasons = [finding.reason for finding in run_json.load(Path("out", "run.json")).findings]
    assert code in (1, 5)
    assert any("no answer within 5 s" in reason for reason in reasons)
