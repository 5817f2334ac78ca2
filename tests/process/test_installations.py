"""Wherever the harness and its packages are installed, a candidate's process finds them, and is shown nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import harness
from harness.candidate.parent import fork_server as fork_servers
from harness.candidate.parent import visible_files
from harness.candidate.parent.limits import Limits
from harness.candidate.parent.subject import Subject
from harness.errors import UsageError
from tests.support.folders import once

PROBE = "from harness.candidate.parent.sandbox_probe import probe; print(probe()[1] or 'ready')"
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL", "COVERAGE"))}
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="session")
def packages(shared: Path) -> Path:
    """All packages as links to elsewhere: of NumPy each file, as uv installs them with --link-mode symlink."""

    def link(draft: Path) -> None:
        draft.mkdir()
        for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
            if entry.name.startswith("numpy"):
                subprocess.run(["cp", "-as", str(entry), str(draft)], check=True)
            elif entry.suffix != ".pth" and entry.name != "harness":
                (draft / entry.name).symlink_to(entry)
        subprocess.run(["cp", "-a", str(Path(harness.__file__).parent), str(draft)], check=True)

    return once(shared, "packages", link)


def environment(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "lib" / VERSION / "site-packages"


def probed(python: str | Path, cwd: Path, code: str = PROBE, **settings: str) -> str:
    """Return the last line that a fresh interpreter prints of a candidate's process."""
    done = subprocess.run(
        [str(python), "-P", "-c", code], cwd=cwd, env={**PLAIN, **settings}, capture_output=True, text=True, timeout=300
    )
    return (done.stdout + done.stderr).strip().splitlines()[-1]


def test_packages_named_by_pythonpath_are_found(packages: Path, tmp_path: Path) -> None:
    """Find packages as ``pip install --target`` leaves them."""
    environment(tmp_path / "venv")

    assert probed(tmp_path / "venv/bin/python", tmp_path, PYTHONPATH=str(packages)) == "ready"


def test_packages_of_a_user_are_found_whose_home_is_not_that_of_the_list_of_users(
    packages: Path, tmp_path: Path
) -> None:
    """Find packages as ``pip install --user`` leaves them in a container job of GitHub's, where HOME is another."""
    home = tmp_path / "home"
    (home / ".local/lib" / VERSION).mkdir(parents=True)
    (home / ".local/lib" / VERSION / "site-packages").symlink_to(packages)
    python = Path(getattr(sys, "_base_executable", sys.executable))

    assert probed(python, tmp_path, HOME=str(home)) == "ready"


def test_packages_named_by_a_pth_file_are_found(packages: Path, tmp_path: Path) -> None:
    (environment(tmp_path / "venv") / "more.pth").write_text(f"{packages}\n")

    assert probed(tmp_path / "venv/bin/python", tmp_path) == "ready"


def test_an_environment_of_links_in_the_folder_of_the_digits_is_found(packages: Path, tmp_path: Path) -> None:
    place = environment(tmp_path / "data" / ".venv")
    place.rmdir()
    place.symlink_to(packages)
    hidden = (
        "from pathlib import Path; from harness.candidate.parent import visible_files as v; plan = v.plan; "
        f"v.plan = lambda a, b, c, _, e: plan(a, b, c, [Path({str(tmp_path / 'data')!r})], e); "
    )

    assert probed(tmp_path / "data/.venv/bin/python", tmp_path, hidden + PROBE) == "ready"


def test_a_candidate_s_process_is_started_where_python_has_not_what_only_linux_has(tmp_path: Path) -> None:
    """Start a candidate's process without what macOS lacks."""
    spoil = "import fcntl, os, sys; del fcntl.F_SETPIPE_SZ, os.sched_getaffinity, os.O_PATH; sys.platform = 'darwin'; "

    assert probed(sys.executable, tmp_path, spoil + PROBE) == "ready"


def test_a_broken_tensorflow_is_named_and_not_the_model(
    reference_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise TypeError('Descriptors cannot be created directly.')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)

    with fork_servers.use(None), Subject.start(reference_model) as subject, pytest.raises(UsageError) as caught:
        subject.facts()

    said = str(caught.value)
    assert said.startswith(
        "Keras and TensorFlow cannot be used here, whatever the model: TypeError: Descriptors cannot"
    )
    assert "reference.keras" not in said
    assert "\n" not in said


def test_the_doctor_says_what_a_candidates_process_cannot_import(tmp_path: Path) -> None:
    (tmp_path / "h5py.py").write_text("raise ImportError('libhdf5.so.310: cannot open shared object file')")
    code = "from harness.cli import main; raise SystemExit(main(['doctor']))"

    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env={**PLAIN, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )

    (line,) = [line for line in done.stdout.splitlines() if line.startswith("✕ no model can be loaded here")]
    assert "ImportError: libhdf5.so.310: cannot open shared object file" in line
    assert (done.returncode, done.stdout.splitlines()[-1]) == (4, "not ready")


def test_of_a_folder_of_digits_that_holds_the_preprocessing_only_code_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("steps.py", "helper.py", "t10k-labels-idx1-ubyte", "run.json"):
        Path(name).touch()
    for name in ("package", "evidence"):
        Path(name).mkdir()
    Path("package", "__init__.py").touch()

    plan = visible_files.plan(tmp_path / "work", tmp_path / "work/m.keras", ["steps"], [tmp_path], Limits())

    assert {Path(path).name for path in plan.readable} == {"m.keras", "steps.py", "helper.py", "package"}


def test_preprocessing_in_the_output_folder_is_found(
    reference_model: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("steps.py").write_text("import helper\nfrom harness.references.preprocessing import normalize, one_hot\n")
    Path("helper.py").touch()

    with Subject.start(reference_model, preprocess="steps", hidden=[tmp_path]) as subject:
        assert subject.facts().preprocess == "steps"
