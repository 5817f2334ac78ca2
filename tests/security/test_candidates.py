"""Candidates whose code attacks: a fault, a refusal or a block, never a pass; and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.candidate.parent import fork_server as fork_servers
from harness.candidate.parent.limits import Limits
from harness.candidate.parent.subject import Subject
from harness.candidate.protocol import wire
from harness.errors import Refused, SubjectFault, UsageError
from harness.records import Dataset
from tests.support.commands import ENTRY, python
from tests.support.folders import CI_TOKEN, FAULTS, once

POLICY = FAULTS / "accuracy.toml"
SOON = Limits(start_seconds=60.0, answer_seconds=4.0)
FROM_REFERENCE = "from harness.references.preprocessing import normalize as good, one_hot"
GOOD = f"{FROM_REFERENCE}\n\n\ndef normalize(images):\n    return good(images)\n"
HEAD = f"import os, signal, sys, time\nimport numpy as np\n{FROM_REFERENCE}\n"
Start = Callable[..., Subject]


@pytest.fixture(autouse=True)
def no_safe_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset PYTHONSAFEPATH: the careless import from their folder, and the harness is safe without it."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)


def carelessly(code: str) -> subprocess.CompletedProcess[str]:
    """A plain interpreter, without a coverage tool that would have imported what is shadowed."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run([sys.executable, "-c", code], env=plain, capture_output=True, text=True, timeout=300)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder a run is started in."""
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def start(reference_model: Path, fork_server: Path, desk: Path) -> Start:
    """Start the reference model with a preprocessing module: code at its top, and the body of its ``normalize``."""

    def started(top: str = "", body: str = "pass", **options: Any) -> Subject:
        (desk / "steps.py").write_text(
            f"{HEAD}{top}\n\n\ndef normalize(images):\n    {body}\n    return good(images)\n"
        )
        return Subject.start(reference_model, preprocess="steps", **{"limits": SOON, **options})

    return started


@pytest.fixture
def made(reference_model: Path, fork_server: Path, desk: Path) -> Start:
    """Start what a factory makes: the reference model, after it has done what is given."""

    def started(deed: str, **options: Any) -> Subject:
        (desk / "good.keras").write_bytes(reference_model.read_bytes())
        body = textwrap.indent(deed, "    ")
        (desk / "maker.py").write_text(
            f"import os, sys, time\n\n\ndef make():\n{body}\n    import keras\n"
            f"    return keras.saving.load_model({str(desk / 'good.keras')!r}, compile=False)\n"
        )
        return Subject.start(Path("maker:make"), allow_code=True, **{"limits": SOON, **options})

    return started


@pytest.fixture
def digits_file(shared: Path, embedded: Dataset) -> Path:
    def save(draft: Path) -> None:
        with draft.open("wb") as file:
            np.savez(file, x_test=embedded.images, y_test=embedded.labels)

    return once(shared, "digits.npz", save)


def test_a_factory_that_does_no_harm_is_a_candidate(made: Start, embedded: Dataset) -> None:
    with made("pass") as subject:
        assert (subject.predict(embedded.images).argmax(1) == embedded.labels).mean() > 0.95


# it is a fault, whatever it pretends

VERDICT = '{"verdict": "allowed", "exit_code": 0}'
PRETENCES = {
    "it exits well": "os._exit(0)",
    "it asks to exit": "sys.exit(0)",
    "it prints a verdict and exits": f"print({VERDICT!r}, flush=True); os.write(1, {VERDICT!r}.encode()); os._exit(0)",
    "it crashes": "os.kill(os.getpid(), signal.SIGSEGV)",
    "it answers half of the rows": "return good(images[: len(images) // 2])",
    "it answers rows twice": "return good(np.concatenate([images, images]))",
    "it closes what it can": "os.closerange(0, 200); time.sleep(60)",
    "it floods every descriptor": "[os.write(n, bytes(1 << 20)) for n in range(1, 9)]",
    "it writes a record of its own": "open('run.json', 'w').write('{}'); os._exit(0)",
}  # fmt: skip


@pytest.mark.parametrize("pretence", PRETENCES)
def test_a_pass_needs_a_complete_answer(pretence: str, start: Start, embedded: Dataset) -> None:
    with start(body=PRETENCES[pretence]) as subject, pytest.raises((SubjectFault, Refused)) as caught:
        subject.predict(embedded.images[:500])

    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


FORGE = """
import fcntl, stat


def forge(frame):
    for n in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(n).st_mode) and fcntl.fcntl(n, fcntl.F_GETFL) & os.O_WRONLY:
                os.write(n, frame)
        except OSError:
            pass
    time.sleep(60)
"""


def frame(header: dict[str, Any] | list[int], *arrays: NDArray[Any]) -> bytes:
    if isinstance(header, dict):
        return b"".join(bytes(part) for part in wire.pack(header, arrays))
    return raw(json.dumps(header).encode())


def raw(text: bytes) -> bytes:
    return struct.pack("<4sIQ", wire.MAGIC, len(text), 0) + text


ROWS = np.full((50, 10), 0.1, np.float32)
FORGED = {
    "nothing": (b"HRN1" + bytes(12), "is no answer"),
    "no header": (frame([1]), "is no answer"),
    "no number": (frame({}, ROWS), "request None"),
    "a number that is none": (frame({"id": [1]}, ROWS), r"request \[1\]"),
    "another request": (frame({"id": 99}, ROWS), "request 99"),
    "a number that cannot be printed": (frame({"id": "\ud800\n" + 5000 * "y"}, ROWS), "request y+…"),
    "a type that is a program": (raw(b'{"id": 1, "arrays": [{"dtype": "(2,", "shape": [0]}]}'), "is no answer"),
}


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_forged_frame_is_a_fault(forged: str, streamed: bool, start: Start, embedded: Dataset) -> None:
    content, why = FORGED[forged]
    images = embedded.images[:50]

    with start(FORGE, f"forge({content!r})") as subject, pytest.raises(SubjectFault, match=why) as caught:
        list(subject.stream([images])) if streamed else subject.predict(images)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


CLAIMS = {
    "kind": "Sequential",
    "inputs": [[None, 28, 28]],
    "outputs": [[None, 10]],
    "parameters": 1,
    "layers": [{"name": "d", "kind": "Dense", "output": "(None, 10)", "parameters": 1}],
    "preprocess": "steps",
    "preprocess_sha256": 64 * "0",
    "range": None,
    "one_hot": True,
    "takes": "float32",
    "precision": "",
    "keras": "",
}
LIES: dict[str, dict[str, object]] = {
    "endless parameters": {"parameters": float("inf")},
    "parameters below none": {"parameters": -1},
    "a layer without a name": {"layers": [{**CLAIMS["layers"][0], "name": [1]}]},  # type: ignore[index]
    "no layers": {"layers": None},
    "no inputs": {"inputs": None},
    "inputs of text": {"inputs": ["\ud800"]},
    "a hash that is none": {"preprocess_sha256": "\ud800"},
    "nothing": dict.fromkeys(CLAIMS),
    "a failure that cannot be printed": {"raised": "x\nharness: allowed\n\x1b[31m" + 5000 * "y"},
}


def test_what_a_child_says_of_a_model_is_believed_where_it_can_be(start: Start) -> None:
    with start(f"{FORGE}\nforge({frame({'id': 0, **CLAIMS})!r})") as subject:
        assert subject.facts().parameters == 1


@pytest.mark.parametrize("lie", LIES)
def test_a_forged_word_about_the_model_is_refused_in_one_line(lie: str, start: Start) -> None:
    forged = frame({"id": 0, **CLAIMS, **LIES[lie]})

    with start(f"{FORGE}\nforge({forged!r})") as subject, pytest.raises(UsageError) as caught:
        subject.facts()

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_what_it_raised_is_told_in_one_line(start: Start, embedded: Dataset) -> None:
    forged = frame({"id": 1, "raised": "\ud800\nharness: allowed" + 5000 * "y", "text": "x\ny"})

    with start(FORGE, f"forge({forged!r})") as subject, pytest.raises(Refused) as caught:
        subject.predict(embedded.images[:50])

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_signal_without_a_name_is_named_by_its_number(start: Start, embedded: Dataset) -> None:
    with start(body="os.kill(os.getpid(), 40)") as subject, pytest.raises(SubjectFault, match="killed by signal 40"):
        subject.predict(embedded.images[:50])


def test_a_forged_answer_without_its_fields_is_no_pass(start: Start, embedded: Dataset) -> None:
    forged = frame({"id": 1}, ROWS) + frame({"id": 2})

    with start(FORGE, f"forge({forged!r})") as subject:
        assert subject.normalize(embedded.images[:50]).modified
        with pytest.raises(SubjectFault, match="which of its weights"):
            subject.unfit_weights()


@pytest.mark.parametrize("pretence", ["it exits well", "it prints a verdict and exits", "it answers half of the rows"])
def test_the_exit_code_of_the_run_is_not_the_candidates(
    pretence: str, reference_model: Path, digits_file: Path, fork_server: Path, desk: Path
) -> None:
    (desk / "steps.py").write_text(GOOD.replace("return", f"if len(images) > 400: {PRETENCES[pretence]}\n    return"))
    (desk / "steps.py").write_text(HEAD + (desk / "steps.py").read_text())
    (desk / "fair.py").write_text(GOOD)

    assert judged(reference_model, digits_file, "steps").returncode in (1, 5)
    assert judged(reference_model, digits_file, "fair").returncode == 0


def judged(model: Path, digits: Path, preprocess: str) -> subprocess.CompletedProcess[str]:
    command = [*python(ENTRY), "run", str(model)]
    options = ["--data", str(digits), "--policy", str(POLICY), "--preprocess", preprocess]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


ANSWER = b"".join(bytes(part) for part in wire.pack({"id": 1}, [np.full((50, 10), 0.1, np.float32)]))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(ANSWER) - 1), st.binary(max_size=40))
def test_no_part_of_an_answer_is_an_answer(length: int, more: bytes) -> None:
    """A frame that is cut, or cut and gone on with by anything shorter than the rest."""
    pipe, end = os.pipe()
    content = ANSWER[:length] + more[: len(ANSWER) - length - 1]
    os.write(end, content)
    os.close(end)

    with os.fdopen(pipe, "rb", 0) as file, pytest.raises((wire.Malformed, EOFError)):
        wire.unpack(lambda size: exactly(file.read(size), size))


def exactly(data: bytes | None, size: int) -> bytes:
    if data is None or len(data) != size:
        raise EOFError
    return data


# it ends in time, with all that it started

ENDLESS = {
    "it sleeps": "time.sleep(3600)",
    "it is busy": "while True: pass",
    "it holds the lock of the interpreter": "import re; re.match('(a+)+$', 'a' * 200 + 'b')",
    "it multiplies": "[os.fork() for _ in range(4)]; time.sleep(3600)",
    "its threads never end": (
        "import threading as t; [t.Thread(target=time.sleep, args=(9999,)).start() for _ in range(9)]; time.sleep(9999)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", ENDLESS)
def test_what_never_ends_is_ended(way: str, start: Start, embedded: Dataset) -> None:
    with start(body=ENDLESS[way]) as subject:
        with pytest.raises(SubjectFault, match="no answer within"):
            subject.predict(embedded.images[:5])
        pid = subject.pid

    assert not Path(f"/proc/{pid}").exists()


IGNORES = "[signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)]"


@pytest.mark.parametrize(("top", "how"), [(IGNORES, "no answer within"), ("", "killed by SIGTERM")])
def test_what_is_deaf_to_signals_is_ended(top: str, how: str, start: Start, embedded: Dataset) -> None:
    """The signals are sent: a candidate that listens ends by them, and the deaf one sleeps on until its time is up."""
    with start(top, "time.sleep(3600)") as subject:
        subject.facts()
        pid = subject.pid
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        with pytest.raises(SubjectFault, match=how):
            subject.predict(embedded.images[:5])

    assert not Path(f"/proc/{pid}").exists()


def test_a_factory_that_never_ends_is_ended(made: Start) -> None:
    with (
        pytest.raises(UsageError, match="no answer within"),
        made("while True: time.sleep(1)", limits=Limits(start_seconds=4.0)) as subject,
    ):
        subject.facts()


def test_processes_that_hide_from_a_closed_candidate_are_ended(start: Start, embedded: Dataset) -> None:
    name = f"left{time.monotonic_ns() % 10**9}"
    hide = (
        "import ctypes\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        ctypes.CDLL(None).prctl(15, {name!r}.encode(), 0, 0, 0)\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n        time.sleep(600)\n    os._exit(0)\n"
    )
    with start(hide) as subject:
        subject.predict(embedded.images[:5])
        alive = named(name)

    assert len(alive) == 1
    assert not named(name)


def named(name: str) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/comm"):
        try:
            if place.read_text() == f"{name}\n" and "Z (" not in (place.parent / "status").read_text():
                found.append(int(place.parent.name))
        except OSError:  # it has just ended
            continue
    return found


def test_more_memory_than_there_is_is_refused_in_one_line(made: Start) -> None:
    with pytest.raises(UsageError, match="more memory than memory_mb") as caught, made("bytearray(1 << 40)") as subject:
        subject.facts()

    assert "\n" not in str(caught.value)


# it finds nothing and tells nobody

SEARCH = textwrap.dedent(
    """
    found = [value for value in [*sys.argv, *os.environ.values()] if "npz" in value or "desk" in value]
    for folder in ("/proc/self", "/proc/%d" % os.getppid(), "/proc/1"):
        for name in ("cmdline", "environ", "maps"):
            try:
                text = open(os.path.join(folder, name), "rb").read()
            except OSError:
                continue
            found += [name for mark in (b"npz", b"y_test") if mark in text]
    for top in ("/tmp", "/work", "/root", "/home", os.path.dirname(os.path.dirname(os.__file__))):
        for folder, _, names in os.walk(top):
            for name in names:
                if name in ("digits.npz", "mnist.npz", "mnist_5k.csv.gz"):
                    try:
                        path = os.path.join(folder, name)
                        if os.path.isfile(path) and open(path, "rb").read(2):
                            found.append(name)
                    except OSError:
                        pass
    if found:
        raise ValueError("labels in " + ", ".join(sorted(set(found))))
    """
)


def test_labels_are_nowhere_to_be_found(made: Start, digits_file: Path, desk: Path) -> None:
    """Neither those of the run, which lie beside the module here, nor those of the packages."""
    from harness.data import sources

    (desk / "digits.npz").write_bytes(digits_file.read_bytes())
    with made(SEARCH, hidden=[*sources.places("digits.npz"), desk / "out"]) as subject:
        subject.facts()

    careless = carelessly("import maker; maker.make()")
    assert "digits.npz" in careless.stderr
    assert "mnist_5k.csv.gz" in careless.stderr


def test_a_secret_reaches_no_message(made: Start, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("very private")
    deed = f"raise ValueError(open({str(secret)!r}).read())"
    with pytest.raises(UsageError) as caught, made(deed) as subject:
        subject.facts()

    assert "very private" not in str(caught.value)


def test_nothing_is_written_outside(made: Start, tmp_path: Path) -> None:
    deed = f"for place in ({str(tmp_path)!r}, {str(tmp_path / 'desk')!r}, '/tmp', os.getcwd()):\n" + textwrap.indent(
        "try:\n    open(os.path.join(place, 'harm.txt'), 'w').close()\nexcept OSError:\n    pass\n", "    "
    )
    with made(deed) as subject:
        subject.facts()
        inside = sorted(str(path) for path in (*tmp_path.rglob("harm.txt"), *Path("/tmp").glob("harm.txt")))

    assert inside == []
    assert carelessly("import maker; maker.make()").returncode == 0
    assert (tmp_path / "harm.txt").exists()
    Path("/tmp/harm.txt").unlink()


def test_a_listener_hears_nothing(made: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        deed = f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2)"
        with pytest.raises(UsageError), made(deed) as subject:
            subject.facts()

        with pytest.raises(TimeoutError):
            server.accept()
        assert carelessly("import maker; maker.make()").returncode == 0
        server.accept()[0].close()


@pytest.mark.parametrize("forked", [True, False])
def test_the_environment_of_the_run_is_not_passed_on(
    made: Start, forked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not forked:
        monkeypatch.setattr(fork_servers, "_default", None)
    with made(f"if {CI_TOKEN!r} in os.environ: raise ValueError('found')", limits=Limits()) as subject:
        subject.facts()

    careless = carelessly("import maker; maker.make()")
    assert "found" in careless.stderr


# what it does to its process, the next one never meets

SPOIL = textwrap.dedent(
    """
    import builtins, random, warnings, keras, numpy, tensorflow
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("mixed_float16") if hasattr(keras.config, "set_dtype_policy") else None
    numpy.seterr(all="raise")
    numpy.random.seed(0)
    warnings.simplefilter("error")
    sys.setrecursionlimit(120)
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    numpy.argmax = lambda *a, **k: 3
    numpy.concatenate = None
    builtins.len = lambda x: 1
    keras.saving.load_model = None
    sys.modules["json"] = None
    raise ValueError("spoilt")
    """
)


def test_a_run_after_a_hostile_one_is_the_run_it_would_have_been(
    made: Start, reference_model: Path, embedded: Dataset, desk: Path
) -> None:
    with Subject.start(reference_model) as subject:
        fresh = subject.predict(embedded.images)
        facts = subject.facts()
    with pytest.raises(UsageError), made(SPOIL) as subject:
        subject.facts()
    with Subject.start(reference_model) as subject:
        after = subject.predict(embedded.images)

        assert subject.facts() == facts
    assert after.tobytes() == fresh.tobytes()
    careless = (
        "try:\n    import maker; maker.make()\nexcept ValueError: pass\nimport keras; print(keras.config.floatx())"
    )
    done = carelessly(careless)
    assert done.stdout == "float16\n"


REACH = textwrap.dedent(
    """
    import ctypes, socket, stat
    reached = []
    for number in range(256):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                reached.append("descriptor %d" % number)
        except OSError:
            pass
    for pid in (os.getppid(), 1):
        try:
            os.kill(pid, 9)
            time.sleep(0.5)
            reached.append("signalled %d" % pid) if pid != 1 and os.getppid() != pid else None
        except OSError:
            pass
        if ctypes.CDLL(None).ptrace(16, pid, None, None) == 0:
            reached.append("traced %d" % pid)
    try:
        reached.append(repr(os.listdir("/dev/shm")))
    except OSError:
        pass
    try:
        socket.socket(socket.AF_UNIX).connect(ADDRESS)
        reached.append("the fork server")
    except OSError:
        pass
    if reached:
        raise ValueError("; ".join(reached))
    """
)


def test_a_candidate_reaches_neither_the_fork_server_nor_its_supervisor(
    made: Start, reference_model: Path, embedded: Dataset, fork_server: Path
) -> None:
    with made(REACH.replace("ADDRESS", repr(str(fork_server)))) as subject:
        subject.facts()

    with Subject.start(reference_model) as subject:
        assert subject.predict(embedded.images[:5]).shape == (5, 10)
    with socket.socket(socket.AF_UNIX) as careless:
        careless.connect(str(fork_server))


def test_patched_arithmetic_does_not_improve_a_constant_model(
    reference_model: Path, digits_file: Path, fork_server: Path, desk: Path
) -> None:
    """The judge computes where the candidate's code never ran."""
    (desk / "steps.py").write_text(
        "import numpy\nfrom harness.references.preprocessing import one_hot\n"
        "for name in ('equal', 'array_equal', 'allclose', 'mean', 'sum', 'argmax', 'bincount'):\n"
        "    setattr(numpy, name, lambda *a, **k: 1.0)\n"
        "\n\n"
        "def normalize(images):\n    return numpy.zeros(images.shape, 'float32')\n"
    )

    assert judged(reference_model, digits_file, "steps").returncode == 1


# the folder it is started in

SHADOWS = (
    "json.py",
    "numpy.py",
    "tomllib.py",
    "sitecustomize.py",
    "usercustomize.py",
    "keras.py",
    "click.py",
    "pytest.py",
)


def test_a_hostile_folder_is_not_imported_from(
    reference_model: Path, digits_file: Path, fork_server: Path, desk: Path
) -> None:
    """Neither by the run nor by the candidate's process, even where a module is asked for that lies there."""
    marker = desk / "imported"
    for name in (*SHADOWS, "conftest.py"):
        (desk / name).write_text(f"open({str(marker)!r}, 'w').close()\nraise SystemExit('shadowed')\n")
    (desk / "fair.py").write_text(f"import json, numpy, tomllib\n{GOOD}")
    command = [Path(sys.executable).with_name("harness"), "run", reference_model, "--data", digits_file]
    options = ["--policy", POLICY, "--preprocess", "fair"]
    done = subprocess.run([*map(str, (*command, *options))], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert not marker.exists()
    carelessly("import json")
    assert marker.exists()


def test_killing_the_supervisor_leaves_no_candidate(reference_model: Path, desk: Path) -> None:
    with fork_servers.use(None), Subject.start(reference_model) as subject:
        pid = subject.pid
        assert subject._child._supervisor is not None
        os.kill(subject._child._supervisor.pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.01)

        assert not Path(f"/proc/{pid}").exists()
        with pytest.raises(UsageError, match="SIGKILL"):
            subject.facts()
