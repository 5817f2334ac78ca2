"""The candidate behind its process boundary: whatever it does becomes an answer, a fault or a refusal in one line."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from harness.candidate.parent import fork_server as fork_servers
from harness.candidate.parent import process
from harness.candidate.parent.limits import Limits
from harness.candidate.parent.subject import Subject
from harness.errors import Refused, SubjectFault, UsageError
from harness.records import Dataset, Images
from tests.support.folders import CI_TOKEN

Misbehave = Callable[..., Subject]

FROM_REFERENCE = "from harness.references.preprocessing import normalize as good, one_hot"
HEAD = f"import os, signal, sys, time\nimport numpy as np\n{FROM_REFERENCE}\n\n\n"
SHORT = Limits(start_seconds=60.0, answer_seconds=2.0)


@pytest.fixture
def subject(reference_model: Path, fork_server: Path) -> Iterator[Subject]:
    with Subject.start(reference_model) as started:
        yield started


@pytest.fixture
def misbehaving(reference_model: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Misbehave:
    """Start the reference model with a ``normalize`` of which only the body is given."""
    monkeypatch.chdir(tmp_path)

    def start(body: str, top: str = "") -> Subject:
        (tmp_path / "steps.py").write_text(
            f"{HEAD}{top}\ndef normalize(images):\n    {body}\n    return good(images)\n"
        )
        return Subject.start(reference_model, preprocess="steps", limits=SHORT)

    return start


EDITS = {  # layer, setting, value, words of the one line
    "a setting that is unknown": (
        7,
        "foo",
        1,
        r"Keras cannot make a model of it \(\w+: Unrecognized keyword arguments",
    ),
    "units below zero": (7, "units", -3, r"invalid value for `units`, expected a positive integer. Received: units=-3"),
    "a padding of no kind": (
        1,
        "padding",
        "around",
        r"Received: around\) \(written by Keras \S+\); save it again with model.save$",
    ),
    "a kernel over the image": (1, "kernel_size", [40, 40], "Computed output size would be zero or negative"),
    "weights of another size": (7, "units", 11, r"the weights in it are not those of its layer dense\w* \(Dense\)"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_keras_says_of_a_model_that_it_cannot_make_is_told_in_one_line(
    edit: str, reference_model: Path, fork_server: Path, tmp_path: Path
) -> None:
    layer, setting, value, words = EDITS[edit]
    path = tmp_path / "edited.keras"
    with zipfile.ZipFile(reference_model) as archive, zipfile.ZipFile(path, "w") as edited:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][layer]["config"][setting] = value
                content = json.dumps(config).encode()
            edited.writestr(name, content)

    with Subject.start(path) as subject, pytest.raises(UsageError, match=words) as caught:
        subject.facts()

    assert str(caught.value).startswith("edited.keras: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_it_says_what_the_model_is(subject: Subject, reference_model: Path) -> None:
    facts = subject.facts()

    assert (facts.kind, facts.inputs, facts.outputs) == ("Sequential", ((None, 28, 28, 1),), ((None, 10),))
    assert facts.size == reference_model.stat().st_size
    assert facts.parameters == sum(layer.parameters for layer in facts.layers) == 34_826


def test_it_reads_digits(subject: Subject, embedded: Dataset) -> None:
    answers = subject.predict(embedded.images)

    assert answers.shape == (1000, 10)
    assert (answers.argmax(axis=1) == embedded.labels).mean() > 0.95


def test_whoever_asks_first_waits_for_the_model(reference_model: Path, fork_server: Path, embedded: Dataset) -> None:
    with Subject.start(reference_model) as subject, ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: subject.predict(embedded.images[:20]), range(12)))

    assert all(np.array_equal(one, found[0]) for one in found)


def test_blocks_of_a_stream_come_back_in_their_order(subject: Subject, embedded: Dataset) -> None:
    sizes = [1, 200, 3, 150, 40, 7, 99]
    ends = np.cumsum(sizes)
    blocks = [embedded.images[end - size : end] for end, size in zip(ends, sizes, strict=True)]

    streamed = np.concatenate(list(subject.stream(blocks)))

    assert np.allclose(streamed, subject.predict(embedded.images[: ends[-1]]), atol=1e-6)


def test_an_error_while_blocks_are_prepared_reaches_the_caller(subject: Subject, embedded: Dataset) -> None:
    def blocks() -> Iterator[Images]:
        yield embedded.images[:10]
        raise UsageError("the second block cannot be made")

    with pytest.raises(UsageError, match="second block"):
        list(subject.stream(blocks()))


def test_an_abandoned_stream_leaves_no_answers_to_be_mistaken(subject: Subject, embedded: Dataset) -> None:
    stream = subject.stream(embedded.images[at : at + 10] for at in range(0, 500, 10))
    next(stream)
    stream.close()

    with pytest.raises(SubjectFault, match="closed"):
        subject.predict(embedded.images[:5])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os._exit(0)", "ended with code 0"),
        ("os._exit(7)", "ended with code 7"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        ("print('the end is near', file=sys.stderr, flush=True); os._exit(3)", "the end is near"),
        ("time.sleep(60)", "no answer within 2 s"),
        ("os.closerange(3, 200)", ""),
    ],
)
def test_a_candidate_that_dies_or_hangs_is_a_fault_in_one_line(
    body: str, said: str, misbehaving: Misbehave, embedded: Dataset
) -> None:
    with misbehaving(body) as subject, pytest.raises(SubjectFault) as caught:
        subject.predict(embedded.images[:5])

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_candidate_that_hangs_and_ignores_sigterm_is_ended(misbehaving: Misbehave, embedded: Dataset) -> None:
    ignores = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    with misbehaving("time.sleep(60)", ignores) as subject:
        pid = subject.pid
        with pytest.raises(SubjectFault, match="no answer within 2 s"):
            subject.predict(embedded.images[:5])

    assert not Path(f"/proc/{pid}").exists()


def test_after_a_fault_every_question_gets_the_same_answer(misbehaving: Misbehave, embedded: Dataset) -> None:
    with misbehaving("os._exit(1)") as subject:
        with pytest.raises(SubjectFault):
            subject.predict(embedded.images[:5])

        with pytest.raises(SubjectFault, match="ended with code 1"):
            subject.one_hot(np.arange(10, dtype=np.uint8))


def test_what_the_candidate_raises_is_its_answer(misbehaving: Misbehave, embedded: Dataset) -> None:
    with misbehaving("raise KeyError('lost')") as subject, pytest.raises(Refused) as caught:
        subject.predict(embedded.images[:5])

    assert caught.value.kind == "KeyError"


def test_sys_exit_does_not_look_like_success(misbehaving: Misbehave, embedded: Dataset) -> None:
    with misbehaving("sys.exit(0)") as subject, pytest.raises(SubjectFault, match="it raised SystemExit"):
        subject.predict(embedded.images[:5])


def test_what_the_candidate_prints_is_not_taken_for_an_answer(misbehaving: Misbehave, embedded: Dataset) -> None:
    body = "print('HRN1' * 1000, flush=True); os.write(1, b'HRN1' * 100)"
    with misbehaving(body) as subject:
        answers = subject.predict(embedded.images[:50])

    assert (answers.argmax(axis=1) == embedded.labels[:50]).mean() > 0.8


@pytest.mark.parametrize("forked", [True, False])
def test_the_candidate_gets_nothing_of_the_callers_environment_but_what_a_program_needs_to_start(
    forked: bool, misbehaving: Misbehave, embedded: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not forked:
        monkeypatch.setattr(fork_servers, "_default", None)
    needed = {*process.environment(), "HOME", "TMPDIR"}
    began = Path("/proc/self/environ").read_bytes().split(b"\0")  # without what libraries have set since, here as there
    private = {CI_TOKEN, *(entry.partition(b"=")[0].decode() for entry in began if entry)} - needed
    private = {
        name for name in private if not name.startswith("COVERAGE_")
    }  # the coverage tool sets its own in the child
    body = f"raise ValueError(' '.join({private!r} & set(os.environ)))"
    with misbehaving(body) as subject, pytest.raises(Refused) as caught:
        subject.predict(embedded.images[:5])

    assert CI_TOKEN in os.environ
    assert str(caught.value) == "ValueError: "


def test_a_stopped_child_is_noticed(reference_model: Path, fork_server: Path, embedded: Dataset) -> None:
    with Subject.start(reference_model, limits=SHORT) as subject:
        subject.facts()
        os.kill(subject.pid, signal.SIGSTOP)

        with pytest.raises(SubjectFault, match=r"for 2 s|within 2 s"):
            subject.predict(embedded.images)


def test_a_child_killed_in_the_middle_of_a_stream_is_a_fault(subject: Subject, embedded: Dataset) -> None:
    stream = subject.stream(embedded.images for _ in range(200))
    next(stream)
    threading.Timer(0.05, os.kill, (subject.pid, signal.SIGKILL)).start()

    with pytest.raises(SubjectFault, match="SIGKILL"):
        list(stream)


def test_nothing_is_left_of_a_closed_subject(reference_model: Path) -> None:
    subject = Subject.start(reference_model)
    pid = subject.pid
    subject.close()

    assert not Path(f"/proc/{pid}").exists()


def test_the_child_of_a_killed_parent_ends_by_itself(subject: Subject) -> None:
    subject.facts()
    assert subject._child.stdin is not None
    subject._child.stdin.close()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{subject.pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)

    assert not Path(f"/proc/{subject.pid}").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.keras", b"", "it is empty"),
        ("model.keras", b"PK\x03\x04 and then nothing", "it is a damaged .keras file"),
        ("model.h5", b"\x89HDF\r\n\x1a\n", "it is no whole HDF5 file"),
        ("model.pkl", b"", "neither .keras nor .h5"),
        ("model\n<b>.keras", b"", "it is empty"),
    ],
)
def test_a_file_that_is_no_model_is_refused_in_one_line(
    name: str, content: bytes, said: str, tmp_path: Path, fork_server: Path
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(UsageError) as caught, Subject.start(tmp_path / name) as subject:
        subject.facts()

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("address", ["hf://who/what.keras", "https://x.org/m.keras", "gs://b/m.keras"])
def test_an_address_is_refused_before_anything_starts(address: str) -> None:
    with pytest.raises(UsageError, match="is an address, not a file"):
        Subject.start(Path(address))


def test_a_name_too_long_for_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        Subject.start(tmp_path / f"{'a' * 5000}.keras")


def test_a_prediction_leaves_no_file_behind(
    reference_model: Path, tmp_path: Path, embedded: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with Subject.start(reference_model) as subject:
        subject.predict(embedded.images[:5])

    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a file"):
        Subject.start(tmp_path / "absent.keras")


@pytest.mark.parametrize("module", ["no_such_module_anywhere", "json", "", "../steps", ".", "a b"])
def test_preprocessing_that_is_not_there_is_refused(module: str, reference_model: Path, fork_server: Path) -> None:
    with (
        pytest.raises(UsageError, match="preprocessing cannot be used"),
        Subject.start(reference_model, preprocess=module) as subject,
    ):
        subject.facts()


@pytest.mark.parametrize(
    "top", ["def f(:", "raise OSError('no such table')", "sys.exit(0)", "one_hot = 3", "RANGE = 1", "RANGE = (1, 0)"]
)
def test_preprocessing_that_breaks_when_imported_is_not_blamed_on_the_model(top: str, misbehaving: Misbehave) -> None:
    with (
        pytest.raises(UsageError, match=r"^the preprocessing cannot be used: .*'steps'"),
        misbehaving("pass", top) as subject,
    ):
        subject.facts()


def test_a_file_in_the_folder_cannot_stand_in_for_an_installed_module(
    reference_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json.py", "numpy.py", "keras.py", "sitecustomize.py", "harness.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.chdir(tmp_path)

    with Subject.start(reference_model) as subject:
        subject.facts()

    assert not (tmp_path / "imported").exists()


def test_a_model_that_takes_too_long_to_load_is_refused(reference_model: Path) -> None:
    with (
        pytest.raises(UsageError, match="no answer within"),
        Subject.start(reference_model, limits=Limits(start_seconds=0.01)) as subject,
    ):
        subject.facts()
