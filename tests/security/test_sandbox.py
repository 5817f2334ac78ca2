"""The sandbox: each deed does harm when it is done carelessly, and none inside; also where the system lacks a layer."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.candidate.parent.limits import Limits
from harness.candidate.parent.subject import Subject
from harness.errors import SubjectFault, UsageError
from harness.records import Dataset
from harness.sandbox import LAYERS, PREVENTED_BY, still_open
from tests.support.folders import FAULTS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")

DEEDS = FAULTS / "deeds.py"
LANDLOCK, NAMESPACES, FILTER = "landlock_create_ruleset", "unshare", "seccomp"
LACKING: dict[str, list[str]] = {
    "nothing": [],
    "Landlock": [LANDLOCK],
    "namespaces": [NAMESPACES],
    "mounts": ["mount"],
    "a filter": [FILTER],
    "namespaces and a filter": [NAMESPACES, FILTER],
}


def carelessly(deed: str, argument: object = "") -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-P", str(DEEDS), deed, str(argument)], capture_output=True, check=True)
    return dict(json.loads(done.stdout))


def confined(deed: str, argument: object = "", *, scratch: Path, **plan: object) -> dict[str, Any]:
    """Do a deed in a sandbox; return its outcome and the layers it was done under."""
    given = json.dumps({"scratch": str(scratch), **plan})
    command = [sys.executable, "-P", str(DEEDS), "--confined", given, deed, str(argument)]
    return dict(json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "home" / ".ssh" / "id_ed25519"
    path.parent.mkdir(parents=True)
    path.write_text("a secret")
    return path


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user's."""
    with subprocess.Popen(["sleep", "60"], env={"TOKEN": "a secret"}) as process:
        yield process
        process.kill()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def heard(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except TimeoutError:
        return False
    return True


FILES: list[tuple[str, Callable[[Path], Path]]] = [
    ("read", lambda secret: secret),
    ("names", lambda secret: secret.parent),
    ("write", lambda secret: secret.parent / "authorized_keys"),
]


@pytest.mark.parametrize("lacking", ["nothing", "Landlock", "namespaces", "mounts"])
@pytest.mark.parametrize(("deed", "of"), FILES, ids=[deed for deed, _ in FILES])
def test_other_files_of_the_user_are_out_of_reach(
    deed: str, of: Callable[[Path], Path], lacking: str, secret: Path, scratch: Path
) -> None:
    inside = confined(deed, of(secret), scratch=scratch, refused=LACKING[lacking])
    left = sorted(path.name for path in secret.parent.iterdir())

    assert inside["harm"] is None
    assert left == ["id_ed25519"]
    assert carelessly(deed, of(secret))["harm"]


def test_a_file_cannot_be_removed(secret: Path, scratch: Path) -> None:
    inside = confined("remove", secret, scratch=scratch)

    assert inside["harm"] is None
    assert secret.exists()
    assert carelessly("remove", secret)["harm"]


def test_not_even_the_size_of_a_file_is_seen(secret: Path, scratch: Path) -> None:
    assert confined("size", secret, scratch=scratch)["harm"] is None
    assert carelessly("size", secret)["harm"]


@pytest.mark.parametrize("lacking", ["nothing", "Landlock", "namespaces", "a filter"])
def test_nothing_is_heard_by_a_listener_on_this_machine(lacking: str, listener: socket.socket, scratch: Path) -> None:
    port = listener.getsockname()[1]
    inside = confined("connect", port, scratch=scratch, refused=LACKING[lacking])

    assert (inside["harm"], heard(listener)) == (None, False)
    assert (carelessly("connect", port)["harm"], heard(listener)) == (True, True)


@pytest.mark.parametrize("lacking", ["nothing", "namespaces", "a filter"])
def test_no_datagram_leaves(lacking: str, scratch: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        port = server.getsockname()[1]
        inside = confined("send_a_datagram", port, scratch=scratch, refused=LACKING[lacking])
        with pytest.raises(TimeoutError):
            server.recv(10)

        assert inside["harm"] is None
        assert carelessly("send_a_datagram", port)["harm"]
        assert server.recv(10) == b"harm"


@pytest.mark.parametrize("lacking", ["nothing", "namespaces"])
def test_the_socket_of_another_process_is_out_of_reach(
    lacking: str, scratch: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Open a socket such as a fork server's, or that of the user's key agent."""
    place = tmp_path_factory.mktemp("s") / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        server.listen()

        assert confined("speak_to_a_socket", place, scratch=scratch, refused=LACKING[lacking])["harm"] is None
        assert carelessly("speak_to_a_socket", place)["harm"]


@pytest.mark.parametrize("lacking", LACKING)
def test_no_program_is_started(lacking: str, scratch: Path) -> None:
    if lacking == "namespaces and a filter":
        assert "start programs" not in confined("nothing", scratch=scratch, refused=LACKING[lacking])["open"]

    assert confined("start_a_program", scratch=scratch, refused=LACKING[lacking])["harm"] is None
    assert carelessly("start_a_program")["harm"] == "harm\n"


@pytest.mark.parametrize("lacking", ["nothing", "namespaces", "Landlock"])
def test_no_program_is_started_from_memory_either(lacking: str, scratch: Path) -> None:
    assert not confined("start_a_program_from_memory", scratch=scratch, refused=LACKING[lacking])["harm"]
    assert carelessly("start_a_program_from_memory")["harm"]


@pytest.mark.parametrize("lacking", ["nothing", "namespaces", "Landlock"])
@pytest.mark.parametrize("deed", ["look_into_a_process", "stop_a_process", "end_a_process"])
def test_processes_of_the_user_are_out_of_reach(
    deed: str, lacking: str, victim: subprocess.Popen[bytes], scratch: Path
) -> None:
    inside = confined(deed, victim.pid, scratch=scratch, refused=LACKING[lacking])

    assert inside["harm"] is None
    assert victim.poll() is None
    assert carelessly(deed, victim.pid)["harm"]


@pytest.mark.parametrize("lacking", LACKING)
def test_a_process_that_hides_does_not_stay_behind(lacking: str, scratch: Path) -> None:
    name = f"left-{time.monotonic_ns() % 10**9}"
    before = confined("stay_behind", name, scratch=scratch, refused=LACKING[lacking])

    assert (before["harm"], named(name)) == (True, [])
    carelessly("stay_behind", name)
    (pid,) = named(name)
    os.kill(pid, 9)


def named(name: str) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/comm"):
        try:
            if place.read_text() == f"{name}\n":
                found.append(int(place.parent.name))
        except OSError:  # it has just ended
            continue
    return found


@pytest.mark.parametrize("deed", ["open_a_namespace", "fill_the_disk", "write_one_large_file", "take_memory"])
def test_a_candidate_takes_no_more_than_it_is_given(deed: str, scratch: Path) -> None:
    assert confined(deed, scratch=scratch)["harm"] is None
    assert carelessly(deed)["harm"]


def test_a_busy_candidate_ends_when_its_time_is_used_up(scratch: Path) -> None:
    inside = confined("be_busy", scratch=scratch, cpu_seconds=1)

    assert inside["harm"] is None
    assert os.waitstatus_to_exitcode(inside["status"]) < 0
    assert carelessly("be_busy")["harm"]


def test_four_hundred_processes_are_too_many_or_end_with_it(scratch: Path) -> None:
    """Root's processes are not counted by the system; they end all the same."""
    inside = confined("be_many", scratch=scratch)

    assert (inside["harm"] is None) == ("process limit" in inside["layers"])
    assert carelessly("be_many")["harm"] == 400


@pytest.mark.parametrize("lacking", LACKING)
def test_nothing_is_left_of_the_scratch_folder(lacking: str, scratch: Path) -> None:
    inside = confined("nothing", scratch=scratch, refused=LACKING[lacking])

    assert inside["harm"] == " ".join([str(scratch / "work")] * 4)
    assert not scratch.exists()


@pytest.mark.parametrize("lacking", LACKING)
def test_it_says_which_layers_are_on(lacking: str, scratch: Path) -> None:
    """Compare the layers reported with those of the system, none of which it lacks."""
    off = {LANDLOCK: {"landlock"}, FILTER: {"system call filter"}, "mount": {"mount namespace"}}
    off[NAMESPACES] = {name for name in LAYERS if name.endswith("namespace")}
    layers = {
        layer.partition(" abi ")[0]
        for layer in confined("nothing", scratch=scratch, refused=LACKING[lacking])["layers"]
    }

    assert layers - {"process limit"} == set(LAYERS) - {"process limit"} - set().union(
        *(off[one] for one in LACKING[lacking])
    )


def test_what_no_layer_prevents_is_said_to_be_open() -> None:
    assert still_open(()) == tuple(PREVENTED_BY)
    assert still_open(LAYERS) == ()
    assert still_open(("landlock abi 7", "system call filter")) == tuple(PREVENTED_BY)[3:]


def test_a_readable_file_can_be_read_and_not_changed(tmp_path: Path, scratch: Path) -> None:
    given = tmp_path / "model.keras"
    given.write_text("weights")

    assert confined("read", given, scratch=scratch, readable=[str(given)])["harm"] == "weights"
    assert confined("write", given, scratch=scratch, readable=[str(given)])["harm"] is None


@pytest.mark.parametrize("lacking", ["nothing", "Landlock", "namespaces"])
def test_labels_beside_a_readable_module_are_not_seen(lacking: str, tmp_path: Path, scratch: Path) -> None:
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "table.txt").write_text("of use")
    labels = folder / "data" / "labels.txt"
    labels.write_text("7 2 1 0 4")
    plan: dict[str, Any] = {
        "readable": [str(folder)],
        "hidden": [str(labels)],
        "refused": LACKING[lacking],
        "scratch": scratch,
    }

    assert not confined("read", labels, **plan)["harm"]
    assert confined("read", folder / "table.txt", **plan)["harm"] == "of use"


def test_a_run_that_insists_on_a_whole_sandbox_is_refused_in_one_line_where_there_is_none(
    reference_model: Path, tmp_path: Path
) -> None:
    done = without(
        [LANDLOCK, NAMESPACES, FILTER], "run", reference_model, "--require-sandbox", "--out", tmp_path / "out"
    )
    (line,) = done.stderr.splitlines()

    assert done.returncode == 4
    assert "read or change other files, reach the network, start programs" in line
    assert "--require-sandbox" in line
    assert not (tmp_path / "out" / "run.json").exists()


def without(calls: list[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line on a system that has not these system calls."""
    code = (
        "import errno, sys; from harness.sandbox import seccomp; from harness.cli import entry; "
        f"seccomp.forbid({calls}, errno.ENOSYS); entry()"
    )
    command = [sys.executable, "-P", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_any_layer_the_run_goes_on_and_says_so(reference_model: Path, tmp_path: Path) -> None:
    rule = FAULTS / "noise.toml"
    calls = [LANDLOCK, NAMESPACES, FILTER, "prctl"]
    done = without(calls, "run", reference_model, "--data", "embedded", "--policy", rule, "--out", tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "run.json").read_text())["sandbox"]

    assert done.returncode == 5, done.stderr
    assert kept == {"layers": ["no capabilities", "limits"], "open": list(PREVENTED_BY)[:4]}
    assert "It could have, all the same" in (tmp_path / "out" / "report.html").read_text()


def test_a_user_without_any_capability_gets_the_whole_sandbox(reference_model: Path, tmp_path: Path) -> None:
    rule = FAULTS / "noise.toml"
    done = without_capabilities(
        "run", reference_model, "--data", "embedded", "--policy", rule, "--require-sandbox", "--out", tmp_path / "out"
    )
    kept = json.loads((tmp_path / "out" / "run.json").read_text())["sandbox"]

    assert done.stdout.splitlines()[0] == "1000 CapEff:\t0000000000000000"
    assert done.returncode == 5, done.stderr
    assert {layer.partition(" abi ")[0] for layer in kept["layers"]} >= set(LAYERS) - {"process limit"}
    assert kept["open"] == []


def without_capabilities(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line as user 1000 of a user namespace of its own: an ordinary user, whoever runs this."""
    enter = (
        "import os, sys\nfrom harness.sandbox import kernel\nwho, group = os.getuid(), os.getgid()\n"
        "kernel.call('unshare', 0x10000000)\n"
        "for name, text in ('uid_map', f'1000 {who} 1'), ('setgroups', 'deny'), ('gid_map', f'1000 {group} 1'):\n"
        "    with open(f'/proc/self/{name}', 'w') as file: file.write(text)\n"
        "os.execv(sys.executable, [sys.executable, '-P', *sys.argv[1:]])"
    )
    then = (
        "import os; from harness.cli import entry; status = open('/proc/self/status').read().splitlines(); "
        "print(os.getuid(), *(line for line in status if line.startswith('CapEff')), flush=True); entry()"
    )
    command = [sys.executable, "-P", "-c", enter, "-c", then, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_doctor_names_what_a_candidate_could_do_here() -> None:
    said = without([LANDLOCK, NAMESPACES, FILTER, "prctl"], "doctor").stdout.splitlines()

    assert "sandbox       no capabilities, limits" in said
    assert [line for line in said if line.startswith("! a candidate could")] == [
        f"! a candidate could {deed}: the sandbox here does not prevent it" for deed in list(PREVENTED_BY)[:4]
    ]


@pytest.mark.parametrize("memory_mb", [20, 300, 1500])
def test_an_absurdly_small_memory_limit_ends_in_one_line(memory_mb: int, reference_model: Path) -> None:
    """TensorFlow may wait for ever for memory that never comes: then the limit of time ends it."""
    limits = Limits(start_seconds=30, memory_mb=memory_mb)
    with (
        pytest.raises(UsageError, match=r"did not load|more memory than memory_mb") as caught,
        Subject.start(reference_model, limits=limits) as subject,
    ):
        subject.facts()

    assert "\n" not in str(caught.value)


def test_the_whole_run_has_a_limit(
    reference_model: Path, fork_server: Path, embedded: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\nfrom harness.references.preprocessing import normalize as n, one_hot\n\n\n"
        "def normalize(images):\n    time.sleep(0.5)\n    return n(images)\n"
    )
    monkeypatch.chdir(tmp_path)
    limits = Limits(run_seconds=3600.0)
    with Subject.start(reference_model, preprocess="slow", limits=limits) as subject:
        subject.facts()
        object.__setattr__(limits, "run_seconds", time.monotonic() - subject._channel.opened + 2)

        with pytest.raises(SubjectFault, match=r"took longer than .* in all \(\[limits\] of the policy\)"):
            list(subject.stream(embedded.images[:1] for _ in range(100)))


@pytest.mark.parametrize("lacking", ["nothing", "Landlock", "namespaces"])
def test_what_is_readable_in_a_hidden_folder_is_all_that_is_seen_there(
    lacking: str, tmp_path: Path, scratch: Path
) -> None:
    folder = tmp_path / "data"
    (folder / "venv").mkdir(parents=True)
    (folder / "labels.txt").write_text("7 2 1 0 4")
    (folder / "venv" / "module.py").write_text("of use")
    plan: dict[str, Any] = {"hidden": [str(folder)], "refused": LACKING[lacking], "scratch": scratch}

    for readable in ([str(folder / "venv")], [str(tmp_path), str(folder / "venv")]):
        assert confined("read", folder / "venv" / "module.py", readable=readable, **plan)["harm"] == "of use"
        assert not confined("read", folder / "labels.txt", readable=readable, **plan)["harm"]
