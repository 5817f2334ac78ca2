"""A real MLflow server with SQLite and passwords: the promises kept in a folder, the page, and what a server refuses.

Run by ``tox -e mlflow``, which installs all of MLflow; an ordinary run of the tests does not look here.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest

from harness.cli import main
from harness.outputs import mlflow_client
from tests.e2e import test_registration as in_a_folder
from tests.e2e.test_registration import client, hash_of, logged, promoted
from tests.support.folders import ROOT
from tests.support.left_runs import leave, take_registry

test_tags = in_a_folder.test_tags_metrics_note_and_version_agree_with_the_exit_code
test_in_its_place = in_a_folder.test_a_release_held_against_the_champion_takes_its_place
test_one_line_says_why = in_a_folder.test_the_alias_stays_and_one_line_says_why
test_forward_only = in_a_folder.test_without_a_baseline_an_alias_moves_forward_only
test_moves_meanwhile = in_a_folder.test_an_alias_that_moves_while_another_is_promoted_stays_there
test_failed = in_a_folder.test_a_run_that_cannot_be_logged_whole_is_failed
test_tagged = in_a_folder.test_a_judged_version_is_tagged_instead_of_registered_again
test_fetched = in_a_folder.test_a_model_of_a_registry_is_a_file_for_as_long_as_it_is_judged

USER = "admin"
AUTH = """[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/auth.db
admin_username = admin
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 600
"""
PAGE = ROOT / "docs" / "how-to" / "mlflow.md"
TINY = """
import keras, sys
keras.utils.set_random_seed(int(sys.argv[2]))
layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
keras.Sequential(layers).save(sys.argv[1])
"""


@dataclass(frozen=True)
class Server:
    """Address of the server, its password, and the folder of what is logged."""

    address: str
    password: str
    artifacts: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a free port, ready."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Server(f"http://127.0.0.1:{port}", secrets.token_hex(8), folder / "artifacts")
    (folder / "auth.ini").write_text(AUTH.format(folder=folder, password=made.password))
    place = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--app-name", "basic-auth"]
    kept = [
        f"--backend-store-uri=sqlite:///{folder}/mlflow.db",
        f"--artifacts-destination={made.artifacts}",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")} | {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(8),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *place, *kept],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(process, made, folder / "log")
            yield made
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def _wait(process: subprocess.Popen[bytes], made: Server, log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{made.address}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"the server does not answer: {log.read_text('utf-8', 'replace')[-2000:]}")


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working folder with two model files, and an empty server."""
    in_a_folder.lay_out(tmp_path, monkeypatch)
    take_registry(server.address, monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", server.password)
    monkeypatch.setattr(in_a_folder, "KEPT", server.artifacts)
    yield
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", server.password)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    for model in client().search_registered_models():
        client().delete_registered_model(model.name)
    for experiment in client().search_experiments():
        for run in client().search_runs([experiment.experiment_id]):
            client().delete_run(run.info.run_id)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small models that Keras has saved."""
    folder = tmp_path_factory.mktemp("tiny")
    paths = [folder / "one.keras", folder / "two.keras"]
    for seed, path in enumerate(paths):
        subprocess.run([sys.executable, "-P", "-c", TINY, str(path), str(seed)], check=True, capture_output=True)
    return paths


def test_the_registered_version_is_loaded_by_mlflow_and_has_the_judged_bytes(tiny: list[Path]) -> None:
    leave(Path("out"), tiny[0])

    assert (logged("out", "--experiment", "digits"), promoted("out")) == (0, 0)
    address, images = "models:/digits@champion", np.zeros((2, 28, 28, 1), np.float32)
    held = Path(mlflow.artifacts.download_artifacts(f"{address}/data/model.keras"))
    assert held.read_bytes() == tiny[0].read_bytes()
    assert type(mlflow.keras.load_model(address)).__name__ == "Sequential"
    assert mlflow.pyfunc.load_model(address).predict(images).shape == (2, 10)
    (run,) = client().search_runs([client().get_experiment_by_name("digits").experiment_id])
    files = {one.path for one in client().list_artifacts(run.info.run_id, "harness")}
    assert files == {f"harness/{name}" for name in ("evidence", "report.html", "run.json")}
    assert run.inputs.dataset_inputs[0].tags[0].value == "evaluation"


def test_every_command_of_the_page_works(tiny: list[Path], fork_server: Path) -> None:
    Path("demo").mkdir()
    Path("demo/reference.keras").write_bytes(tiny[0].read_bytes())
    leave(Path("demo"), Path("demo/reference.keras"), command="harness demo --data embedded --out demo")
    Path("mine.keras").write_bytes(tiny[1].read_bytes())
    lines = "".join(re.findall("```bash\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)).splitlines()
    commands = [line.replace('"', "").split()[1:] for line in lines if line.startswith("harness ")]

    codes = [main(command) for command in commands]
    records = [json.loads(Path(out, "run.json").read_text("utf-8")) for out in ("next", "again")]

    assert codes[:2] == [0, 0]
    assert set(codes[2:]) <= {1, 5}  # neither small model was trained
    assert records[0]["baseline"]["sha256"] == hash_of("demo/reference.keras") == records[1]["model"]["sha256"]
    assert "--baseline models:/digits/1 " in records[0]["command"]
    assert records[1]["command"].startswith("harness run models:/digits/1 ")


def test_a_wrong_password_is_one_line_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(Path("out"), Path("m.keras"))
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong-and-secret")
    capsys.readouterr()

    assert main(["mlflow", "log", "out"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "refuses the user; check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in line
    assert "wrong-and-secret" not in line


def test_a_server_that_dies_while_a_model_is_fetched_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(Path("out"), Path("m.keras"))
    logged("out")
    capsys.readouterr()

    def last_answer(*_: object) -> tuple[str, str]:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
        return "digits", "1"

    monkeypatch.setattr(mlflow_client, "pinned", last_answer)

    assert main(["run", "models:/digits/1", "--data", "embedded"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be reached: [Errno 111] Connection refused; is it up" in line
