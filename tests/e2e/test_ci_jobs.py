"""The action, the component and the examples: valid by their schemas, and the steps end as the verdict says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from ruamel.yaml import YAML

from harness.run.finished_run import FinishedRun, write
from tests.support import samples
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


def runner(folder: Path) -> dict[str, str]:
    """Prepare what a runner gives each step, and the programs that the step before has installed; its variables."""
    programs = folder / "temp" / "harness" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    (programs / "code").write_text(python(ENTRY)[-1])
    quoted = " ".join(f"'{word}'" for word in python(ENTRY)[:-1])
    for name, line in {"harness": f'{quoted} "$(cat {programs / "code"})"', "python": f"'{sys.executable}' -P"}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        (programs / name).chmod(0o755)
    (folder / "outputs").touch()
    names = {
        "RUNNER_TEMP": folder / "temp", "GITHUB_OUTPUT": folder / "outputs", "GITHUB_STEP_SUMMARY": folder / "summary",
        "GITHUB_WORKSPACE": folder, "GITHUB_ACTIONS": "true", "GITHUB_ACTION_PATH": ROOT,
    }  # fmt: skip
    return {**os.environ, **{name: str(path) for name, path in names.items()}}


def ran(name: str, known: Mapping[str, str], environ: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Run one step of the action, a shell script, by its name; its exit code and its log. ``known``: what it may name.

    Inputs that are not known have their defaults.
    """
    action: dict[str, Any] = YAML(typ="safe").load(ACTION.read_text("utf-8"))
    defaults = {f"inputs.{name}": str(one.get("default", "")) for name, one in action["inputs"].items()}
    step = next(step for step in action["runs"]["steps"] if step.get("name") == name)
    given = {name: values(str(text), {**defaults, **known}) for name, text in step["env"].items()}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env={**environ, **given}, cwd=folder, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def ended(inputs: Mapping[str, str], folder: Path) -> tuple[int, dict[str, str]]:
    """Run the judgement; its exit code and its outputs."""
    code, log = ran("Judge", {f"inputs.{name}": text for name, text in inputs.items()}, runner(folder), folder)
    (folder / "log").write_text(log)
    lines = (folder / "outputs").read_text("utf-8").splitlines()
    return code, dict(line.split("=", 1) for line in lines)


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


class GitHub(BaseHTTPRequestHandler):
    """The part of api.github.com that is asked: comments, a page of them at a time, for whoever has the right."""

    comments: ClassVar[list[dict[str, Any]]] = []
    writes = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: int(value) for name, value in parse_qsl(url.query)}
        start = (asked["page"] - 1) * asked["per_page"]
        known = url.path == "/api/repos/ada/digits/issues/7/comments"
        self.answer(200 if known else 404, self.comments[start : start + asked["per_page"]])

    def do_POST(self) -> None:
        user = {"type": "Bot"}
        self.write(201, "/api/repos/ada/digits/issues/7/comments", {"id": len(self.comments) + 1, "user": user})

    def do_PATCH(self) -> None:
        number = int(self.path.rpartition("/")[2])
        self.write(200, f"/api/repos/ada/digits/issues/comments/{number}", self.comments[number - 1])

    def write(self, code: int, path: str, comment: dict[str, Any]) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer secret" or self.path != path:
            return self.answer(401, {})
        if not self.writes:
            return self.answer(403, {"message": "Resource not accessible by integration"})
        comment["body"] = content["body"]
        if code == 201:
            self.comments.append(comment)
        return self.answer(code, comment)

    def answer(self, code: int, content: object) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def comments(tmp_path: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run the step that comments, against a server of this machine, after a run that was blocked."""
    run, found = samples.blocked()
    samples.keep_evidence(tmp_path / "out", found)
    write(FinishedRun(run, found, samples.SESSION), tmp_path / "out")
    GitHub.comments, GitHub.writes = [], True

    def comment(model: str = "a.keras", token: str = "secret") -> tuple[int, str]:
        known = {
            "inputs.model": model, "github.token": token, "github.event.pull_request.number": "7",
            "steps.report.outputs.artifact-url": "https://github.example/report",
        }  # fmt: skip
        address = f"http://127.0.0.1:{server.server_port}/api"
        of_job = {"GITHUB_API_URL": address, "GITHUB_REPOSITORY": "ada/digits", "no_proxy": "127.0.0.1"}
        return ran("Comment on the pull request", known, {**runner(tmp_path), **of_job}, tmp_path)

    with ThreadingHTTPServer(("127.0.0.1", 0), GitHub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield comment
        server.shutdown()


Comment = Callable[..., tuple[int, str]]


def test_a_comment_is_made_once_and_edited_by_the_next_run(comments: Comment) -> None:
    GitHub.comments += [{"id": at, "user": {"type": "User"}, "body": f"{at}"} for at in range(1, 150)]
    GitHub.comments[3]["user"] = None  # of an account that is gone

    first, second = comments(), comments()

    assert (first[0], second[0]) == (0, 0)
    (ours,) = GitHub.comments[149:]
    assert re.match(r"<!-- harness:[0-9a-f]{12} -->\n### ✕ Blocked: ", ours["body"])
    assert "[Report](<https://github.example/report>)" in ours["body"]


def test_each_model_has_a_comment_of_its_own_and_a_persons_is_left_alone(comments: Comment) -> None:
    comments("a.keras")
    quoted = {"id": 1, "user": {"type": "User"}, "body": GitHub.comments[0]["body"] + "I disagree"}
    GitHub.comments = [quoted, {**GitHub.comments[0], "id": 2}]

    comments("a.keras")
    comments("b.keras")

    assert GitHub.comments[0]["body"].endswith("I disagree")
    assert len({one["body"].partition("\n")[0] for one in GitHub.comments}) == 2
    assert len(GitHub.comments) == 3


@pytest.mark.parametrize(("token", "writes", "code"), [("secret", False, 403), ("wrong", True, 401)])
def test_a_token_that_only_reads_leaves_a_warning_and_no_comment(
    token: str, writes: bool, code: int, comments: Comment
) -> None:
    GitHub.writes = writes

    ended, log = comments(token=token)

    assert (ended, GitHub.comments) == (0, [])
    assert f"::warning::no comment on the pull request: HTTP Error {code}: " in log
    assert "secret" not in log
