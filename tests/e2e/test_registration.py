"""A run carried to MLflow, which keeps it in a folder: what is written, and when an alias moves."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.entities import Metric, Param
from mlflow.utils import validation

from harness.candidate.parent import process
from harness.cli import main
from harness.evidence import storage
from harness.outputs import mlflow as mlflow_output
from harness.outputs import mlflow_client
from harness.records import CLEAN
from harness.report import markdown
from harness.run.session import Request, with_files
from tests.support import samples
from tests.support.left_runs import LEAST, keep, leave, take_registry
from tests.support.orders import ORDERS, obeyed
from tests.unit.outputs.test_ci import hostile

Said = pytest.CaptureFixture[str]


KEPT = Path()  # where a server of the tests keeps what is logged


def lay_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a working folder with two model files."""
    monkeypatch.chdir(folder)
    Path("m.keras").write_bytes(b"PK a model")
    Path("n.keras").write_bytes(b"PK another model")


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with two model files, and a registry in a folder."""
    lay_out(tmp_path, monkeypatch)
    take_registry((tmp_path / "mlruns").as_uri(), monkeypatch)


def client() -> Any:
    return mlflow.MlflowClient()


def only_run(experiment: str = "Default") -> Any:
    (run,) = client().search_runs([client().get_experiment_by_name(experiment).experiment_id])
    return run


def champion() -> str:
    return str(client().get_registered_model("digits").aliases.get("champion", ""))


def hash_of(name: str) -> str:
    return sha256(Path(name).read_bytes()).hexdigest()


def logged(out: str, *more: str) -> int:
    return main(["mlflow", "log", out, "--register", "digits", *more])


def promoted(out: str, *more: str) -> int:
    return main(["mlflow", "promote", out, "--name", "digits", *more])


@pytest.mark.parametrize("baseline", ["", "b" * 64])
@pytest.mark.parametrize("word", LEAST)
def test_tags_metrics_note_and_version_agree_with_the_exit_code(word: str, baseline: str) -> None:
    out = leave(Path("out"), Path("m.keras"), word, baseline=baseline)

    code = logged("out", "--experiment", "digits of mail")
    record, run = json.loads((out / "run.json").read_text()), only_run("digits of mail")
    version = client().get_model_version("digits", "1")
    tags = {
        "harness.verdict": word,
        "harness.exit_code": str({"blocked": 1, "no_verdict": 5}.get(word, 0)),
        "harness.sentence": record["verdict"]["sentence"],
        "harness.model_sha256": hash_of("m.keras"),
        "harness.policy_sha256": record["policy"]["sha256"],
        "harness.data_sha256": record["data"]["sha256"],
        "harness.run_sha256": hash_of("out/run.json"),
    }

    assert code == 0
    assert run.info.status == "FINISHED"
    assert version.tags == tags
    assert {name: run.data.tags[name] for name in tags} == tags
    assert run.data.tags["mlflow.note.content"].startswith("### ")
    clean = [one for one in record["measurements"] if one["metric"] == "accuracy" and not any(one["scope"].values())]
    assert run.data.metrics["accuracy"] == clean[0]["value"]
    assert run.data.metrics["accuracy low"] < run.data.metrics["accuracy"] < run.data.metrics["accuracy high"]
    assert (run.data.metrics["margin/accuracy"] > 0) is (word not in ("blocked",))
    assert ("baseline" in run.data.params) is bool(baseline)
    assert promoted("out") == int(tags["harness.exit_code"])
    assert champion() == ("1" if word.startswith("allowed") else "")


def two_versions(baseline: str = "", **second: Any) -> None:
    """Version 1 of digits is the champion, and version 2 is logged from the run in ``next``."""
    leave(Path("out"), Path("m.keras"))
    assert (logged("out"), promoted("out")) == (0, 0)
    leave(Path("next"), Path("n.keras"), baseline=baseline, **second)
    assert logged("next") == 0


def test_a_release_held_against_the_champion_takes_its_place() -> None:
    two_versions(hash_of("m.keras"))

    assert promoted("next") == 0
    assert champion() == "2"
    assert client().get_registered_model("digits").tags == {
        "harness.policy_sha256.champion": json.loads(Path("out/run.json").read_text())["policy"]["sha256"]
    }


def test_the_alias_is_left_where_it_already_is(capsys: Said) -> None:
    two_versions()

    assert promoted("out") == 0
    assert "digits@champion is version 1 already" in capsys.readouterr().out


def another_file() -> None:
    address = client().get_model_version_download_uri("digits", "2")
    registered = KEPT / address.removeprefix("file://").removeprefix("mlflow-artifacts:/")
    (registered / "data" / "model.keras").write_bytes(b"PK other bytes")


def other_tag() -> None:
    client().set_model_version_tag("digits", "2", "harness.model_sha256", "0" * 64)


def one_answer() -> None:
    (trial,) = Path("next/evidence").glob("trial-*")
    content = bytearray(trial.read_bytes())
    content[200] ^= 1
    trial.write_bytes(content)


def one_answer_and_the_manifest() -> None:
    shown = storage.read(Path("next/evidence"))
    answers, rows = shown.answers[CLEAN].copy(), shown.probabilities.copy()
    answers[0] = (answers[0] + 1) % 10
    rows[0] = np.eye(10)[answers[0]]
    keep(Path("next"), samples.answering(shown, answers={CLEAN: answers}, probabilities=rows))


def another_policy() -> None:
    client().set_registered_model_tag("digits", "harness.policy_sha256.champion", "f" * 64)


def somebody_else() -> None:
    Path("o.keras").write_bytes(b"PK of somebody else")
    leave(Path("theirs"), Path("o.keras"), baseline=hash_of("m.keras"))
    assert (logged("theirs"), promoted("theirs")) == (0, 0)


REFUSED = {
    "another file in the version": (another_file, "and its tags name "),
    "another hash in the tag": (other_tag, "log it: harness mlflow log next --register digits"),
    "evidence changed by one answer": (one_answer, "run harness run again"),
    "evidence changed by one answer, and its manifest": (
        one_answer_and_the_manifest,
        "by the evidence; judge the model anew before you promote it",
    ),
    "another policy": (another_policy, "digits@champion requires the policy ffffffffff, and the run was judged by "),
    "promoted in between": (somebody_else, "digits@champion is version 3 with the model "),
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_the_alias_stays_and_one_line_says_why(change: Callable[[], None], said: str, capsys: Said) -> None:
    two_versions(hash_of("m.keras"))
    change()
    before = champion()
    capsys.readouterr()

    code = promoted("next")
    out, err = capsys.readouterr()

    assert (code, out, champion()) == (4, "", before)
    assert said in err
    assert err.startswith("harness: ")
    assert len(err.splitlines()) == 1


def test_without_a_baseline_an_alias_moves_forward_only(capsys: Said) -> None:
    two_versions()

    assert promoted("next") == 0
    assert promoted("out") == 4
    assert "digits@champion is version 2, newer than version 1 of this run; judge" in capsys.readouterr().err
    assert champion() == "2"


def test_an_alias_that_moves_while_another_is_promoted_stays_there(
    monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    two_versions(hash_of("m.keras"))
    leave(Path("third"), Path("m.keras"))
    logged("third")
    move = client().set_registered_model_alias
    monkeypatch.setattr(mlflow_client, "tag_version", lambda *_: move("digits", "champion", "3"))

    assert promoted("next") == 4
    assert "digits@champion was moved by somebody else meanwhile; judge" in capsys.readouterr().err
    assert champion() == "3"


def test_a_run_that_cannot_be_logged_whole_is_failed(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    def broken(*given: Any) -> None:
        raise mlflow.MlflowException("no space for it\nleft")

    leave(Path("out"), Path("m.keras"))
    monkeypatch.setattr(mlflow_client, "log_dataset", broken)

    assert logged("out") == 4
    assert only_run().info.status == "FAILED"
    assert "no space for it left; mend that and run again" in capsys.readouterr().err
    assert client().search_registered_models() == []


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.write_bytes(b"PK trained on")])
def test_a_model_that_is_no_longer_the_judged_one_is_not_registered(
    change: Callable[[Path], None], capsys: Said
) -> None:
    leave(Path("out"), Path("m.keras"))
    change(Path("m.keras"))

    assert logged("out") == 4
    assert "m.keras is no longer the judged model " in capsys.readouterr().err
    assert client().search_runs(["0"]) == []


def test_a_judged_version_is_tagged_instead_of_registered_again() -> None:
    leave(Path("out"), Path("m.keras"))
    logged("out")
    leave(Path("again"), Path("m.keras"), command="harness run models:/digits/1 --out again", name="stricter")

    assert logged("again") == 0
    assert len(client().search_model_versions("name='digits'")) == 1
    assert client().get_model_version("digits", "1").tags["harness.run_sha256"] == hash_of("again/run.json")


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    leave(Path("out"), Path("m.keras"))
    monkeypatch.setitem(sys.modules, "mlflow", None)

    assert main(["mlflow", "log", "out"]) == 4
    assert capsys.readouterr().err == (
        'harness: MLflow is not installed; python -m pip install "digit-release-harness[mlflow]"\n'
    )


def test_a_model_of_a_registry_is_a_file_for_as_long_as_it_is_judged() -> None:
    leave(Path("out"), Path("m.keras"))
    logged("out")
    promoted("out")
    asked = Request(Path("models:/digits@champion"), baseline=(Path("models:/digits/1"), Path("n.keras")))

    with with_files(asked) as request, with_files(request) as again:
        assert again == request
        assert request.model.name == "digits-1.keras"
        assert request.model.read_bytes() == Path("m.keras").read_bytes()
        assert request.baseline == (request.model, Path("n.keras"))
        assert request.command().startswith(
            "harness run models:/digits/1 --baseline models:/digits/1 --baseline n.keras --seed 2026"
        )
    assert not request.model.exists()


ADDRESSES = {
    "models:/digits/9": "Model Version (name=digits, version=9) not found; mend that",
    "models:/digits@next": "models:/digits@next: digits has no alias next; it has champion",
    "models:/digits/Production": "is no address of a model; write models:/NAME/VERSION or models:/NAME@ALIAS",
    "models:/nobody/1": "there is no registered model nobody; ",
    "models:/nobody@champion": "there is no registered model nobody; harness mlflow log OUT --register nobody makes it",
    "models:/two/1": "models:/two/1 holds 2 .keras files; a version with one can be judged",
    "s3:/bucket/m.keras": "is an address, not a file; download it first",
}


@pytest.mark.parametrize(("address", "said"), ADDRESSES.items())
def test_an_address_of_no_model_is_one_line(address: str, said: str, capsys: Said) -> None:
    leave(Path("out"), Path("m.keras"))
    logged("out")
    promoted("out")
    version = client().get_model_version("digits", "1")
    (Path(version.source.removeprefix("file://")) / "data" / "other.keras").write_bytes(b"PK")
    client().create_registered_model("two")
    client().create_model_version("two", version.source)
    capsys.readouterr()

    assert main(["run", address, "--data", "embedded", "--out", "new"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_server_that_is_not_there_is_one_line_without_the_password(
    monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    leave(Path("out"), Path("m.keras"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    assert main(["mlflow", "log", "out"]) == 4
    assert capsys.readouterr().err == (
        "harness: MLflow at http://127.0.0.1:1 cannot be reached: [Errno 111] Connection refused; is it up, and is "
        "MLFLOW_TRACKING_URI right?\n"
    )


def test_a_store_that_needs_all_of_mlflow_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    leave(Path("out"), Path("m.keras"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "unheard-of:///mlflow.db")

    assert main(["mlflow", "promote", "out", "--name", "digits"]) == 4
    assert "needs more than mlflow-skinny; set MLFLOW_TRACKING_URI to " in capsys.readouterr().err


@pytest.mark.parametrize("text", [*ORDERS, samples.NASTY, "../" * 100, "x" * 9000, "\0", "  ", "<script>"])
def test_outside_text_is_kept_within_what_mlflow_takes(text: str) -> None:
    run = hostile(text, samples.beside(samples.blocked())[0])
    gates = tuple(replace(one, gate=replace(one.gate, id=text)) if one.gate else one for one in run.findings)
    run = replace(run, findings=gates, versions={text: text})
    entries = [Metric(name, value, 0, step) for (name, step), value in mlflow_output.metrics(run).items()]
    params = [Param(*each) for each in mlflow_output.params(run).items()]
    tags = mlflow_output.tags(run, "0" * 64) | {"note": markdown.render(run, limit=mlflow_output.NOTE)}

    for place, one in enumerate(entries):
        validation._validate_metric(one.key, one.value, one.timestamp, one.step, f"[{place}]")
    for param in params:
        kept = validation._validate_param(param.key, param.value)
        assert (kept.key, kept.value) == (param.key, param.value)
    for name, value in tags.items():
        assert validation._validate_tag(name, value).value == value
    assert all(value.isprintable() and obeyed(value) == [] for name, value in tags.items() if name != "note")


def test_a_candidate_gets_no_variable_of_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")

    assert [name for name in process.environment() if name.startswith("MLFLOW_")] == []
