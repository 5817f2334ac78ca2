"""Commands of the README and the pages, run as written; what installs and what CI runs is run by CI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.files import shipped_folder
from tests.support.folders import ROOT

BLOCK = re.compile(r"```(?:sh|\{code-block\} \w+\n:caption: (\S+))\n(.*?)```", re.DOTALL)
BY_CI = (
    "python3 -m venv .venv && .venv/bin/python -m pip install tox && .venv/bin/tox",
    "python3 -m venv .venv && .venv/bin/python -m pip install tox && .venv/bin/tox -e gate",
    "python3 -m venv .venv && . .venv/bin/activate",
    "python -m pip install .",
)
NOT_ZERO = {  # exit codes of the tutorial's model
    "harness run mine.keras --data digits.npz --out out/": 1,
    "harness gate out/ --policy embedded": 5,
    "harness run mine.keras --data embedded --baseline last.npz --out next/": 5,
    "harness run mine.keras --data digits.npz --policy mnist_c --out mnist-c/": 1,
}


def pages(page: Path) -> Iterator[Path]:
    """Yield a page, and after it those below it, in the order of the site."""
    yield page
    for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        for name in [line for line in tree.split() if not line.startswith(":")]:
            if (below := page.parent / f"{name}.md").exists():
                yield from pages(below)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return what a page has its reader write and type: the name of a file and its text, or "" and commands."""
    return BLOCK.findall(page.read_text("utf-8"))


BLOCKS = [block for page in (ROOT / "README.md", *pages(ROOT / "docs" / "index.md")) for block in blocks(page)]
COMMANDS = [line for name, text in BLOCKS if not name for line in text.splitlines()]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder: what the project brings."""
    place = tmp_path_factory.mktemp("desk")
    shutil.copytree(shipped_folder("suites"), place / "suites")
    return place


def test_the_readme_has_its_two_commands() -> None:
    assert [text.strip() for _, text in blocks(ROOT / "README.md")] == [BY_CI[1], BY_CI[0]]


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


@pytest.mark.timeout(1800)
def test_every_command_works_in_the_order_of_the_pages(desk: Path, fork_server: Path) -> None:
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONSAFEPATH": "1"}
    ended: dict[str, int] = {}
    for name, text in BLOCKS:
        if name:
            (desk / name).write_text(text, "utf-8")
            continue
        for command in text.splitlines():
            if command in BY_CI or command in ended:
                continue
            done = subprocess.run(
                command, shell=True, cwd=desk, env=environment, capture_output=True, text=True, timeout=600
            )
            ended[command] = done.returncode
            assert "Traceback" not in done.stderr, command

    assert ended == {command: NOT_ZERO.get(command, 0) for command in ended}
    assert set(NOT_ZERO) <= set(ended)
