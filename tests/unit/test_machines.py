"""The machines that people have: what one lacks, or has too much of, changes nothing or is named in one line."""

from __future__ import annotations

import json
import os
import pwd
import sys
import tomllib
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

import harness
from harness import plugin, policy
from harness.candidate.parent import candidate_file
from harness.cli import main, run, show
from harness.cli import root as commands
from harness.data import sources
from harness.errors import UsageError
from harness.outputs import junit
from harness.run import candidates
from harness.run.session import Request
from tests.support import samples
from tests.support.folders import ROOT

Said = pytest.CaptureFixture[str]

POLICY = 'format = 1\nname = "é"\n\n[[gate]]\nmetric = "accuracy"\nat_least = 0.5\nbecause = "a reason"\n'


@pytest.fixture
def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of whom the machine knows a number only."""

    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("HOME", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_digits_are_found_without_a_home_folder(without_home: None) -> None:
    assert sources.load("embedded").origin == "embedded"
    assert [path.name for path in sources.places("embedded")] == ["mnist_5k.csv.gz"]


def test_keras_s_cache_without_a_home_folder_is_refused_in_one_line(without_home: None) -> None:
    with pytest.raises(
        UsageError, match=r"\Athis user has no home folder.*set KERAS_HOME, or give --data FILE.npz.*\Z"
    ):
        sources.load("keras")


def test_the_doctor_names_the_home_that_is_missing(without_home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.data.keras_mnist.refusal", lambda: "no network")

    cache, *_ = sources.reachable()

    assert (cache.available, cache.why.startswith("this user has no home folder")) == (False, True)


@pytest.mark.parametrize("words", [["run", "missing.keras"], ["run"], ["train", "--epochs", "0"], ["run", ""]])
def test_json_is_given_where_an_input_cannot_be_used(words: list[str], capsys: Said) -> None:
    code = main([*words, "--json"])

    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert (code, answer["verdict"], answer["exit_code"]) == (4, None, 4)
    assert answer["error"].splitlines()[-1] in said.err


def test_json_is_given_where_the_harness_itself_fails(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    monkeypatch.setattr(commands, "main", lambda *_, **__: 1 / 0)

    assert main(["run", "m.keras", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["exit_code"] == 3


def test_json_gives_every_mistake_of_a_policy(tmp_path: Path, capsys: Said) -> None:
    (tmp_path / "p.toml").write_text(POLICY.replace('name = "é"', "").replace("format = 1", "format = 2"))

    main(["policy", "check", str(tmp_path / "p.toml"), "--json"])

    said = capsys.readouterr()
    assert len(said.err.splitlines()) > 1
    assert json.loads(said.out)["error"].splitlines() == [
        line.removeprefix("harness: ") for line in said.err.splitlines()
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_policy_is_read_whatever_editor_wrote_it(tmp_path: Path, encoding: str, newline: str) -> None:
    (tmp_path / "plain.toml").write_text(POLICY, "utf-8")
    (tmp_path / "p.toml").write_bytes(POLICY.replace("\n", newline).encode(encoding))

    facts, plain = (policy.load(tmp_path / name).facts for name in ("p.toml", "plain.toml"))

    assert (facts.name, facts.sha256) == ("é", plain.sha256)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_a_list_of_candidates_is_read_whatever_editor_wrote_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "list.txt").write_bytes("é.keras\r\n# a word\r\n\r\nb.h5\r\n".encode(encoding))

    assert candidates.named([Path(f"@{tmp_path / 'list.txt'}")]) == [Path("é.keras"), Path("b.h5")]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "\ufeff"])
def test_an_empty_policy_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.toml").write_text(text, "utf-8")

    with pytest.raises(UsageError, match=r"\A[^\n]*p\.toml:1: is empty; a policy holds[^\n]*\Z"):
        policy.load(tmp_path / "p.toml")


def test_hidden_twins_in_a_folder_of_models_are_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    for name in ("a.keras", "._a.keras", ".b.h5"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.run.batch.judge_many", lambda requests, _: [])
    monkeypatch.setattr(run, "min", lambda *_, **__: 0, raising=False)

    main(["run", str(tmp_path), "--data", "embedded", "-q"])

    assert candidates.named([tmp_path]) == [tmp_path / "a.keras"]
    assert capsys.readouterr().err.splitlines() == [
        f"harness: {tmp_path / name} is left out: hidden files are no candidates" for name in ("._a.keras", ".b.h5")
    ]


@pytest.mark.parametrize("given", ["model.keras", "sub/../model.keras", "./model.keras"])
def test_a_link_goes_by_the_name_that_was_given(tmp_path: Path, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sub", "copy"):
        Path(name).mkdir()
    Path("3f2a9c").write_bytes(b"\x89HDF\r\n\x1a\n")
    Path("model.h5").symlink_to("3f2a9c")

    assert candidate_file.copy_candidate(Path(given.replace(".keras", ".h5")), Path("copy")).name == "model.h5"


@pytest.mark.parametrize(("asked", "code"), [(False, 5), (True, 1)])
@pytest.mark.parametrize("as_json", [False, True])
def test_no_verdict_is_a_failure_where_that_is_asked_for(asked: bool, code: int, as_json: bool, capsys: Said) -> None:
    judged, _ = samples.no_verdict()

    ended = show.verdict(judged, Path("out"), as_json=as_json, quiet=True, no_verdict_is_failure=asked)

    assert ended == code
    assert not as_json or json.loads(capsys.readouterr().out)["exit_code"] == code


@pytest.mark.parametrize("make", [samples.allowed, samples.warned, samples.blocked])
def test_a_verdict_keeps_its_exit_code_where_no_verdict_is_a_failure(make: Callable[[], samples.Sample]) -> None:
    judged, _ = make()

    ended = show.verdict(judged, Path("out"), as_json=False, quiet=True, no_verdict_is_failure=True)

    assert ended == judged.verdict.exit_code


def test_junit_has_times_and_equal_runs_have_the_same_ones() -> None:
    root = ET.fromstring(junit.render(samples.blocked()[0]))

    assert {float(element.attrib["time"]) for element in root.iter() if element.tag.startswith("test")} == {0.0}
    assert root[0].attrib["timestamp"] == "1970-01-01T00:00:00"


def test_junit_has_the_times_of_the_run_where_they_are_asked_for() -> None:
    suite = ET.fromstring(junit.render(samples.blocked()[0], samples.SESSION))[0]

    assert float(suite.attrib["time"]) == pytest.approx(sum(samples.SESSION.seconds.values()), abs=1e-3)
    assert f"{suite.attrib['timestamp']}Z" == samples.SESSION.when


def test_the_command_that_repeats_a_run_asks_for_times_again() -> None:
    assert "--junit-times" in Request(Path("m.keras"), junit_times=True).command()


def test_windows_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    assert main(["doctor"]) == 4
    assert capsys.readouterr().err == (
        "harness: Windows has no sandbox for a candidate; use WSL (wsl --install), where everything runs as on Linux\n"
    )


def test_windows_is_refused_in_one_line_by_pytest_and_by_the_api_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(pytest.UsageError, match=r"\AWindows has no sandbox.*WSL.*\Z"):
        plugin.activate(None)  # type: ignore[arg-type]
    with pytest.raises(ImportError, match=r"\AWindows has no sandbox.*WSL.*\Z"):
        getattr(harness, "jud" + "ge")


def test_warnings_that_python_was_told_to_raise_are_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "warnoptions", ["error"])
    warned: list[list[str]] = []

    def warn(*_: object, **__: object) -> int:
        warnings.warn("a library's", DeprecationWarning, stacklevel=2)
        warned.append(sys.warnoptions[:])
        return 0

    monkeypatch.setattr(commands, "main", warn)
    with warnings.catch_warnings(action="error"):
        code = main(["doctor"])

    assert (code, warned, sys.warnoptions) == (0, [[]], ["error"])


def test_a_python_for_which_there_is_no_tensorflow_is_refused_by_pip() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["requires-python"] == ">=3.11,<3.14"


def test_no_variable_of_pytest_reaches_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.run import checks

    for name in ("PYTEST_PLUGINS", "PYTEST_DEBUG", "PYTEST_ADDOPTS"):
        monkeypatch.setenv(name, "no_such_plugin")

    with checks._without_options_of_the_environment():
        seen = [name for name in os.environ if name.startswith("PYTEST_")]

    assert seen == []
    assert os.environ["PYTEST_PLUGINS"] == "no_such_plugin"
