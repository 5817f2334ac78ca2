"""The action, the component and the examples: valid by their schemas, and the steps end as the verdict says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.commands import ENTRY, python
from tests.support.folders import ROOT

EXAMPLES = ROOT / "docs" / "how-to" / "ci"
ACTION, COMPONENT = ROOT / "action.yml", ROOT / "templates" / "gate.yml"
POLICY = 'format = 1\nname = "x"\n\n[[gate]]\nmetric = "accuracy"\nat_least = {}\nbecause = "of the test"\n'
VALID = [
    ("github-actions", ACTION), ("github-workflows", EXAMPLES / "github.yml"),
    ("gitlab-ci", EXAMPLES / "gitlab-ci.yml"), ("azure-pipelines", EXAMPLES / "azure-pipelines.yml"),
]  # fmt: skip


def checked(schema: str, path: Path) -> int:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    return subprocess.run(command, capture_output=True, timeout=120).returncode


@pytest.mark.parametrize(("schema", "path"), VALID, ids=[schema for schema, _ in VALID])
def test_a_file_is_valid_by_the_schema_of_its_system(schema: str, path: Path) -> None:
    assert checked(schema, path) == 0


def test_the_component_is_valid_once_its_inputs_are_filled_in(tmp_path: Path) -> None:
    inputs, job = COMPONENT.read_text("utf-8").split("\n---\n")
    given = {
        name: str(one.get("default", name)) for name, one in YAML(typ="safe").load(inputs)["spec"]["inputs"].items()
    }
    filled = re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda found: given[found[1]], job)
    (tmp_path / "job.yml").write_text(filled)

    assert checked("gitlab-ci", tmp_path / "job.yml") == 0
    assert set(re.findall(r"inputs\.(\w+)", job)) == set(given)


def test_a_step_without_its_shell_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "action.yml").write_text(ACTION.read_text("utf-8").replace("shell: bash", "name: x", 1))

    assert checked("github-actions", tmp_path / "action.yml") == 1


def audited(path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--no-progress", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_action_has_no_hole_that_an_audit_knows() -> None:
    found = audited(ACTION)

    assert found.returncode == 0, found.stdout


def test_an_input_in_a_script_is_noticed(tmp_path: Path) -> None:
    spoilt = ACTION.read_text("utf-8").replace('-- "$MODEL"', "-- ${{ inputs.model }}")
    (tmp_path / "action.yml").write_text(spoilt)

    assert audited(tmp_path / "action.yml").returncode != 0


def values(text: str, known: Mapping[str, str]) -> str:
    """Fill in ``${{ inputs.x }}``. KeyError where there is no such value."""
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known[found[1]], text)


def ended(inputs: Mapping[str, str], folder: Path) -> tuple[int, dict[str, str]]:
    """Run the steps of the action that are shell scripts, up to the judgement; its exit code and its outputs."""
    action: dict[str, Any] = YAML(typ="safe").load(ACTION.read_text("utf-8"))
    known = {f"inputs.{name}": str(inputs.get(name, one.get("default", ""))) for name, one in action["inputs"].items()}
    judge = next(step for step in action["runs"]["steps"] if step.get("id") == "judge")
    outputs = folder / "outputs"
    outputs.touch()
    program = folder / "temp" / "harness" / "bin" / "harness"
    program.parent.mkdir(parents=True, exist_ok=True)
    quoted = " ".join(f"'{word}'" for word in python(ENTRY)[:-1])
    (program.parent / "code").write_text(python(ENTRY)[-1])
    program.write_text(f'#!/bin/sh\nexec {quoted} "$(cat {program.parent / "code"})" "$@"\n')
    program.chmod(0o755)
    names = {
        "RUNNER_TEMP": folder / "temp", "GITHUB_OUTPUT": outputs, "GITHUB_STEP_SUMMARY": folder / "summary",
        "GITHUB_WORKSPACE": folder, "GITHUB_ACTIONS": "true",
    }  # fmt: skip
    given = {name: values(str(text), known) for name, text in judge["env"].items()}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", judge["run"]],
        env={**os.environ, **{name: str(path) for name, path in names.items()}, **given},
        cwd=folder, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    (folder / "log").write_text(done.stdout + done.stderr)
    return done.returncode, dict(line.split("=", 1) for line in outputs.read_text("utf-8").splitlines())


def test_every_input_and_step_that_the_action_names_is_there() -> None:
    text = ACTION.read_text("utf-8")
    action = YAML(typ="safe").load(text)

    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(action["inputs"])
    steps = {step.get("id") for step in action["runs"]["steps"]}
    assert set(re.findall(r"steps\.([\w-]+)", text)) == steps - {None}


def test_the_action_ends_with_the_exit_code_of_the_verdict_and_says_it(reference_model: Path, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(POLICY.format(0.995))
    inputs = {"model": str(reference_model), "data": "embedded", "policy": "p.toml", "arguments": "--seed\n7\n"}

    code, outputs = ended(inputs, tmp_path)

    run = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    assert code == run["verdict"]["exit_code"] != 0
    assert (outputs["exit-code"], outputs["verdict"]) == (str(code), run["verdict"]["word"])
    assert run["seed"] == 7
    assert "::error" in (tmp_path / "log").read_text("utf-8")
    assert (tmp_path / "summary").read_text("utf-8").startswith("### ")


@pytest.mark.parametrize("model", ["--version", "$(touch hacked)", "`touch hacked`.keras", "a;touch hacked", "x\ny"])
def test_a_hostile_input_of_the_action_is_a_name_that_is_not_there(model: str, tmp_path: Path) -> None:
    code, outputs = ended({"model": model, "data": "embedded"}, tmp_path)

    assert (code, outputs) == (4, {})
    assert not (tmp_path / "hacked").exists()
