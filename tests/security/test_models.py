"""A candidate that would run, read or write something is refused; loaded carelessly, the same bytes do it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from harness.cli import main
from tests.support.faults.hostile import CODE, PROGRAMS, READS, SECRET
from tests.support.folders import FAULTS, once

Refuse = Callable[..., str]
POLICY = FAULTS / "accuracy.toml"


@pytest.fixture(scope="session")
def hostile_models(shared: Path, reference_model: Path, faulty_models: Path) -> Path:
    """A folder of hostile models, each in a folder of its own."""

    def build(draft: Path) -> None:
        script = FAULTS / "hostile.py"
        given = [str(reference_model), str(faulty_models / "good.h5"), str(draft)]
        subprocess.run([sys.executable, "-P", str(script), *given], check=True, capture_output=True)

    return once(shared, "hostile", build)


@pytest.fixture
def refused(
    tmp_path: Path, fork_server: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Refuse:
    """Run the command on a candidate that must be refused, over earlier outputs; the one line it says."""
    temporary, out = tmp_path / "temporary", tmp_path / "out"
    temporary.mkdir()
    out.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    for name in ("run.json", "report.html"):
        (out / name).write_text("of an earlier run")

    def run(model: Path | str, *options: str) -> str:
        code = main(["run", str(model), "--data", "embedded", "--policy", str(POLICY), "--out", str(out), *options])
        said, told = capfd.readouterr()

        assert (code, said) == (4, "")
        assert told.count("\n") == 1
        assert told.startswith("harness: ")
        assert told.rstrip("\n").isprintable()
        assert {path.name: path.read_text() for path in out.iterdir()} == dict.fromkeys(
            ("run.json", "report.html"), "of an earlier run"
        )
        assert list(temporary.iterdir()) == []
        return told

    return run


def made(hostile_models: Path, name: str) -> Path:
    """The path as it is now: the folder was a draft when it was made."""
    written = Path((hostile_models / name / "path").read_text())
    return hostile_models / name / written.name


@pytest.fixture(scope="session")
def harmful(hostile_models: Path) -> Mapping[str, bool]:
    found: Mapping[str, bool] = json.loads((hostile_models / "harmful.json").read_text())
    return found


@pytest.mark.parametrize("name", [*CODE, *READS, *PROGRAMS])
def test_loaded_carelessly_it_does_its_harm(name: str, harmful: Mapping[str, bool]) -> None:
    assert harmful[name]


@pytest.mark.parametrize("name", [*CODE, *PROGRAMS])
def test_what_would_run_something_is_refused_and_nothing_runs(name: str, hostile_models: Path, refused: Refuse) -> None:
    path = made(hostile_models, name)

    told = refused(path)

    assert path.name in told
    assert "Python code" in told or "not on the list" in told or "which may read files or run" in told
    assert not list(path.parent.glob("mark*"))


@pytest.mark.parametrize("name", READS)
def test_what_would_read_another_file_is_refused_and_gives_nothing_away(
    name: str, hostile_models: Path, refused: Refuse
) -> None:
    path = made(hostile_models, name)

    told = refused(path)

    assert path.name in told
    assert SECRET.decode() not in told


def test_a_function_is_not_called_unless_it_is_allowed(tmp_path: Path, refused: Refuse) -> None:
    (tmp_path / "steps.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\n\n\ndef model():\n    pass\n")

    told = refused("steps:model")

    assert "--allow-code" in told
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def model():\n    raise ValueError('not\\ntoday')", "ValueError: not today"),
        ("def model():\n    return 3", "it gives a int, not a Keras model"),
        ("def model(:", "it cannot be imported"),
        ("", "it cannot be imported"),
        ("import os\ndef model():\n    os._exit(0)", "ended with code 0"),
        ("import sys\ndef model():\n    sys.exit(0)", "it last said: SystemExit: 0"),
    ],
)
def test_a_function_that_makes_no_model_is_refused(text: str, said: str, tmp_path: Path, refused: Refuse) -> None:
    (tmp_path / "steps.py").write_text(text)

    assert said in refused("steps:model", "--allow-code")


def test_a_module_of_elsewhere_is_refused(refused: Refuse) -> None:
    assert "no json.py in the working folder" in refused("json:loads", "--allow-code")


NAMES = [b"new\nline.keras", b"\x1b[31mred.keras", b"<img src=x>.keras", b"\xff\xfe.keras", "\u202egnp.keras".encode()]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_file_of_any_name_is_refused_in_one_printable_line(name: bytes, tmp_path: Path, refused: Refuse) -> None:
    import os

    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"no model")

    assert "it is no .keras file" in refused(path)
