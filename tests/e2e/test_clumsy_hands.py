"""The command line under clumsy hands: odd names, closed pipes, poor terminals, folders that are something else."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import show
from harness.errors import UsageError
from harness.outputs import run_json
from harness.records import Dataset
from harness.run.finished_run import FinishedRun, write
from harness.run.session import Request, claim, lock, open_session
from tests.support import samples
from tests.support.commands import ENTRY, python
from tests.support.samples import SESSION

RULE = """
format = 1
name = "a rule"
[[gate]]
metric = "accuracy"
at_least = 0.5
because = "a reason"
"""


def harness(*arguments: str | os.PathLike[str], **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    given = [os.fspath(argument) for argument in arguments]
    return subprocess.run([*python(ENTRY), *given], **{"capture_output": True, **options})  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """An output folder, with a blank in its name, and a policy beside it."""
    run, shown = samples.allowed()
    out = tmp_path / "my  out"
    samples.keep_evidence(out, shown)
    write(FinishedRun(run, shown, SESSION), out)
    (tmp_path / "rule.toml").write_text(RULE)
    return out


@pytest.mark.parametrize("option", ["--json", "-q", None])
@pytest.mark.parametrize("metrics", [(), ("precision", "recall", "f1")])  # less and more than is written at once
def test_a_reader_who_leaves_does_not_make_it_blocked(
    option: str | None, metrics: tuple[str, ...], finished: Path
) -> None:
    more = [RULE[RULE.index("[[gate]]") :].replace('"accuracy"', f'"{metric}"\nclass = "each"') for metric in metrics]
    (finished.parent / "rule.toml").write_text("".join([RULE, *more]))
    read, write = os.pipe()
    os.close(read)

    done = harness("gate", finished, "--policy", finished.parent / "rule.toml", *([option] if option else []),
                   capture_output=False, stdout=write, stderr=subprocess.PIPE)  # fmt: skip
    os.close(write)

    assert (done.returncode, done.stderr) == (2, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "arguments", [["--help"], ["doctor"], ["gate", "--json"], ["gate", "-q"], ["gate"], ["report"]]
)
def test_output_that_cannot_be_written_is_one_line_and_no_verdict(arguments: list[str], finished: Path) -> None:
    command, *options = arguments
    places: dict[str, list[str | Path]] = {
        "gate": [finished, "--policy", finished.parent / "rule.toml"],
        "report": [finished],
    }
    where = places.get(command, [])
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = harness(command, *where, *options, capture_output=False, stdout=full, stderr=subprocess.PIPE)

    assert done.returncode == 4
    assert done.stderr == b"harness: cannot write to standard output: No space left on device; send it elsewhere\n"


@pytest.mark.parametrize("name", ["run.json", "evidence/manifest.json", "evidence/digits.npz", "session.json"])
@pytest.mark.parametrize("command", ["report", "gate"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name: str, command: str, finished: Path) -> None:
    (finished / name).unlink(missing_ok=True)
    os.mkfifo(finished / name)
    options: list[str | Path] = ["--policy", finished.parent / "rule.toml"] if command == "gate" else []
    done = harness(command, finished, *options, timeout=60)

    assert (done.returncode, len(done.stderr.splitlines())) == ((0, 0) if name == "session.json" else (4, 1))
    assert b"Traceback" not in done.stderr


def test_a_terminal_that_has_no_tick_gets_the_verdict_all_the_same(finished: Path) -> None:
    poor = {**os.environ, "PYTHONIOENCODING": "ascii"}

    done = harness("gate", finished, "--policy", finished.parent / "rule.toml", env=poor)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Release allowed" in done.stdout


def test_a_narrow_terminal_gets_sentences_instead_of_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    run, _ = samples.blocked()

    show.verdict(run, Path("out"), as_json=False, quiet=False)
    printed = capsys.readouterr().out

    failed = [finding for finding in run.findings if (finding.status, finding.level) == ("failed", "required")]
    assert [finding.id for finding in failed if f": {finding.reason}\n" not in printed] == []


def test_json_is_the_only_thing_on_stdout_whatever_the_terminal(finished: Path) -> None:
    poor = {**os.environ, "PYTHONIOENCODING": "latin-1"}

    done = harness("gate", finished, "--policy", finished.parent / "rule.toml", "--json", env=poor)

    assert json.loads(done.stdout)["verdict"] == "allowed"


def test_the_printed_command_repeats_the_run(finished: Path) -> None:
    done = harness("gate", finished, "--policy", finished.parent / "rule.toml")
    (repeat,) = [line for line in done.stdout.decode().splitlines() if line.startswith("repeat: ")]
    (folder,) = finished.glob("again-*")
    before = (folder / "run.json").read_bytes()

    again = harness(*shlex.split(repeat.removeprefix("repeat: harness ")))

    assert again.stdout == done.stdout
    assert (folder / "run.json").read_bytes() == before


def test_a_folder_of_any_bytes_can_be_judged(finished: Path) -> None:
    odd = finished.rename(finished.parent / os.fsdecode(b"\xff \x1b[31m<b>\n"))

    done = harness("gate", odd, "--policy", finished.parent / "rule.toml")

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout
    (folder,) = odd.glob("again-*")
    assert run_json.load(folder / "run.json").command.isprintable()


def test_the_demo_is_repeated_by_the_demo() -> None:
    """Repeat the demo by its own command, since any other judges the model as a stranger's, without a verdict."""
    request = Request(Path("out/reference.keras"), "embedded", out=Path("out"), own_split=True)

    assert request.command() == "harness demo --data embedded --out out"


def test_a_folder_in_use_is_refused_in_one_line_and_left_alone(finished: Path) -> None:
    """Lock the folder, since two runs into one would mix their answers."""
    with lock(finished):
        done = harness("gate", finished, "--policy", finished.parent / "rule.toml")

    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)
    assert b"in use by another run" in done.stderr
    assert run_json.load(finished / "run.json").policy.name == "release"


def test_a_run_keeps_others_out_of_its_folder(reference_model: Path, fork_server: Path, tmp_path: Path) -> None:
    with (
        open_session(Request(reference_model, "embedded", out=tmp_path)) as session,
        claim(session),
        pytest.raises(UsageError, match="in use"),
        lock(tmp_path),
    ):
        pytest.fail("two runs hold the folder")

    with lock(tmp_path):
        pass


@pytest.mark.parametrize("out", ["file", "file/below", "taken", "a" * 5000, "dangling"])
def test_an_output_folder_that_cannot_be_one_is_refused_in_one_line(
    out: str, reference_model: Path, fork_server: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("somebody's")
    (tmp_path / "taken" / "run.json").mkdir(parents=True)
    (tmp_path / "dangling").symlink_to("nowhere")

    done = harness("run", reference_model, "--data", "embedded", "--out", tmp_path / out)

    assert (done.returncode, done.stdout) == (4, b"")
    assert len(done.stderr.splitlines()) == 1
    assert b"--out" in done.stderr


def test_helpers_beside_the_preprocessing_are_never_out_of_date(
    reference_model: Path, fork_server: Path, embedded: Dataset, tmp_path: Path
) -> None:
    """Change a module that the preprocessing imports, while the preprocessing itself stays."""
    (tmp_path / "rule.toml").write_text(RULE)
    (tmp_path / "steps.py").write_text(
        "from harness.references.preprocessing import one_hot\nfrom helper import normalize\n"
    )
    helper = tmp_path / "helper.py"
    arguments = ["run", str(reference_model), "--data", "embedded", "--policy", "rule.toml", "--preprocess", "steps"]
    helper.write_text("from harness.references.preprocessing import normalize\n")
    harness(*arguments, cwd=tmp_path)
    helper.write_text("def normalize(images):\n    return (images[:, ::-1] / 255).astype('float32')\n")

    harness(*arguments, cwd=tmp_path)
    run = run_json.load(tmp_path / "out" / "run.json")

    assert {finding.id: finding.status for finding in run.findings}["gate/accuracy"] == "failed"


def one_line_of(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the one line of the error of unusable input."""
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (4, b"")
    return line


@pytest.mark.parametrize("given", [["--out", ""], ["--out="], ["--baseline", ""], [""]])
def test_an_empty_argument_does_not_aim_at_the_folder_one_is_in(given: list[str], tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("somebody's")

    done = harness("run", "model.keras", *given, cwd=tmp_path)

    assert one_line_of(done).endswith("is empty; is a variable not set?")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_that_was_removed_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    code = "import os; os.rmdir(os.getcwd()); from harness.cli import entry; entry()"

    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "doctor"], cwd=tmp_path / "gone", capture_output=True, check=False
    )

    assert "the folder you are in was removed" in one_line_of(done)


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()

    for name in ("pipe", "link", "folder", "loop"):
        assert "it is there and no file" in one_line_of(harness("corruptions", "--sheet", tmp_path / name))

    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_fifo()


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(b"")
    (tmp_path / "link.png").symlink_to("real.png")

    assert harness("corruptions", "--sheet", tmp_path / "link.png").returncode == 0

    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_bytes().startswith(b"\x89PNG")


def test_a_seed_that_keras_cannot_take_is_refused() -> None:
    done = harness("train", "--seed", "-1")

    assert done.returncode == 4
    assert b"0<=x<=4294967295" in done.stderr


def test_a_limit_beyond_any_loss_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(RULE.replace("accuracy", "log_loss").replace("at_least = 0.5", "at_most = 1e24"))

    done = harness("policy", "check", tmp_path / "p.toml")

    assert "log_loss lies between 0 and 15.9424" in one_line_of(done)


def test_evidence_nested_without_end_is_damaged(finished: Path) -> None:
    (finished / "evidence" / "manifest.json").write_text("[" * 100_000)

    assert "is damaged" in one_line_of(harness("report", finished))
