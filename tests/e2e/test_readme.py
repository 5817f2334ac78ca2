"""Every command of the README works as written; what installs and what CI runs is run by CI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness import policy
from harness.files import shipped_folder
from harness.records import Dataset
from tests.support.folders import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("baseline.md", "sampling.md")]
BY_CI = (
    "harness demo",
    "python3 -m venv .venv && .venv/bin/python -m pip install tox && .venv/bin/tox",
    "python3 -m venv .venv && .venv/bin/python -m pip install tox && .venv/bin/tox -e gate",
    "python -m pip install .",
)
# exit codes of a candidate that has learnt from the 4,000 digits of mnist.npz; on MNIST the first is 0: full_mnist
NOT_ZERO = {
    "harness run candidate.keras --data mnist.npz --policy suites/release.toml --out out/": 1,
    "harness run candidate.keras --data embedded --baseline last/ --out next/": 5,
    "harness run candidate.keras --data embedded --baseline last.npz --out judged/": 5,
    "harness run candidate.keras --data mnist.npz --json --no-verdict-is-failure > verdict.json": 1,
    "pytest --harness-model candidate.keras --harness-data mnist.npz --harness-out out/": 1,
    "harness run candidate.keras --data mnist.npz --policy suites/mnist_c.toml": 1,
    "harness gate out/ --policy stricter.toml": 1,
    "harness run candidate.keras --data mnist.npz --columns writers.csv --unit writer --out by-writer/": 1,
}


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line not in BY_CI]
for page in PAGES:
    COMMANDS += [line for block in blocks("sh", page) for line in block.splitlines() if line not in COMMANDS]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, reference_model: Path, embedded: Dataset) -> Path:
    """A user's folder: a candidate, an mnist.npz (5,000 embedded digits), the suites, a stricter policy."""
    place = tmp_path_factory.mktemp("desk")
    shutil.copy(reference_model, place / "candidate.keras")
    shutil.copytree(shipped_folder("suites"), place / "suites")
    shutil.copy(shipped_folder("suites") / "robustness.toml", place)
    (place / "stricter.toml").write_text(blocks("toml")[0])
    assert embedded.train_images is not None
    writers = [f"w{number // 30}\n" for number in range(len(embedded.train_images))]
    (place / "writers.csv").write_text("".join(["writer\n", *writers]))
    assert embedded.train_labels is not None
    np.savez(
        place / "mnist.npz",
        x_test=embedded.train_images,  # the larger part: fewer cannot show what the shipped policies ask
        y_test=embedded.train_labels,
        x_train=embedded.images,
        y_train=embedded.labels,
    )
    return place


def test_the_readme_has_its_two_commands() -> None:
    assert all(command in README for command in BY_CI)
    assert len(COMMANDS) >= 10


def test_ci_runs_the_two_commands() -> None:
    script = (ROOT / ".ci" / "run").read_text()

    assert "python3 -m venv .venv && .venv/bin/python -m pip install tox && .venv/bin/tox -e gate" in script
    assert script.rstrip().endswith("python3 -m venv .venv && .venv/bin/python -m pip install tox && .venv/bin/tox")


def test_the_gate_of_tox_takes_paths_where_one_stands(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tox",
        "-c",
        str(ROOT / "tox.ini"),
        "config",
        "-e",
        "gate,lint",
        "-k",
        "change_dir",
    ]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert re.findall("change_dir = (.*)", done.stdout) == [str(tmp_path), str(ROOT)]


def test_every_command_works_in_the_order_of_the_readme(desk: Path, fork_server: Path) -> None:
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONSAFEPATH": "1"}
    ended = {}
    for command in COMMANDS:
        done = subprocess.run(
            command, shell=True, cwd=desk, env=environment, capture_output=True, text=True, timeout=600
        )
        ended[command] = done.returncode
        assert "Traceback" not in done.stderr, command

    assert ended == {command: NOT_ZERO.get(command, 0) for command in COMMANDS}


def test_the_policy_of_the_readme_is_one(desk: Path) -> None:
    assert policy.load(desk / "stricter.toml").facts.name == "my release"
