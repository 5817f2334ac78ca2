"""Many candidates in one run: each is judged as it would be alone, and none stops the others."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.candidate.parent.subject import Subject
from harness.cli import main
from harness.errors import UsageError
from harness.run import candidates, measure, session
from harness.run.session import Request
from tests.support.commands import ENTRY, python

Said = pytest.CaptureFixture[str]
POLICY = """format = 1
name = "some"
[[gate]]
metric = "accuracy"
at_least = 0.5
because = "better than a coin"
[[gate]]
metric = "accuracy"
corruption = "gaussian_noise"
severity = 3
at_least = 0.3
because = "sensor noise"
level = "warning"
[[gate]]
metric = "worst_case_accuracy"
corruption = "shift"
within = 1
at_least = 0.3
because = "never centred"
level = "warning"
"""


@pytest.fixture
def judged(tmp_path: Path, fork_server: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> Callable[..., int]:
    """``harness run`` on the embedded digits, in a folder of its own, by a small policy."""
    (tmp_path / "p.toml").write_text(POLICY)
    monkeypatch.chdir(tmp_path)
    return lambda *words: main(["run", *map(str, words), "--data", "embedded", "--policy", "p.toml"])


def test_each_candidate_is_judged_as_it_would_be_alone(
    judged: Callable[..., int], reference_model: Path, faulty_models: Path, tmp_path: Path, capsys: Said
) -> None:
    for name, model in (("good", reference_model), ("worse", faulty_models / "constant.keras")):
        shutil.copy(model, tmp_path / f"{name}.keras")

    code = judged("good.keras", "broken.keras", "worse.keras", "--out", "out", "--json")
    listed = json.loads(capsys.readouterr().out)
    together = {name: (tmp_path / "out" / name / "run.json").read_bytes() for name in ("good", "worse")}
    lines = re.findall(r"<tr class.*?</tr>", (tmp_path / "out" / "index.html").read_text("utf-8"), re.S)
    shutil.rmtree(tmp_path / "out")
    alone = {name: judged(f"{name}.keras", "--out", f"out/{name}", "-q") for name in together}

    assert code == 4
    assert [(one["file"], one["exit_code"]) for one in listed] == [
        ("good.keras", alone["good"]), ("broken.keras", 4), ("worse.keras", alone["worse"])
    ]  # fmt: skip
    assert "broken.keras is not" in listed[1]["error"]
    assert [re.findall(r'href="(.*?)"', line) for line in lines] == [["good/report.html"], [], ["worse/report.html"]]
    assert "broken.keras is not" in lines[1]
    assert alone["good"] != alone["worse"]
    assert together == {name: (tmp_path / "out" / name / "run.json").read_bytes() for name in together}


def test_a_baseline_is_swept_once_for_all(
    judged: Callable[..., int],
    reference_model: Path,
    faulty_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, model in (("a", "untrained"), ("b", "constant"), ("c", "never_says_7")):
        shutil.copy(faulty_models / f"{model}.keras", tmp_path / f"{name}.keras")
    started: list[Path] = []
    start = session.start_subject

    def counted(request: Request, model: Path, *rest: Any) -> Subject:
        started.append(model)
        return start(request, model, *rest)

    monkeypatch.setattr(measure, "start_subject", counted)
    judged("a.keras", "b.keras", "c.keras", "--baseline", str(reference_model), "--out", "out", "-q")
    manifests = [json.loads((tmp_path / "out" / name / "evidence" / "manifest.json").read_text()) for name in "abc"]

    assert started == [reference_model]
    assert len({manifest["baseline"] for manifest in manifests}) == 1
    assert [(tmp_path / "out" / name / "run.json").is_file() for name in "abc"] == [True] * 3


def test_an_interrupted_run_ends_at_once_and_decides_nothing(
    reference_model: Path, fork_server: Path, tmp_path: Path
) -> None:
    (tmp_path / "p.toml").write_text(POLICY.replace('"shift"\nwithin = 1', '"brightness_offset"\nwithin = 250'))
    words = ["run", str(reference_model), str(reference_model), "--data", "embedded", "--policy", "p.toml"]
    process = subprocess.Popen(
        [*python(ENTRY), *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a shell's background job
    )
    while len([*tmp_path.glob("out/*/evidence/trial-*.npz")]) < 4 and process.poll() is None:
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)

    assert process.returncode == 2
    assert said.strip() == "harness: interrupted; nothing was decided"
    assert not [*tmp_path.glob("out/*/run.json")]
    assert len([*tmp_path.glob("out/*/evidence/trial-*.npz")]) < 400


def test_what_all_share_is_refused_once_and_before_anything_starts(
    reference_model: Path, tmp_path: Path, capsys: Said
) -> None:
    code = main(["run", str(reference_model), str(reference_model), "--data", "no.npz", "--out", str(tmp_path / "o")])

    assert code == 4
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_a_folder_and_a_list_name_the_models_in_them(tmp_path: Path) -> None:
    for name in ("b.keras", "a.h5", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "list").write_text(f"# the nightly ones\n{tmp_path / 'b.keras'}\n\nother.keras\n")

    assert candidates.named([tmp_path]) == [tmp_path / "a.h5", tmp_path / "b.keras"]
    assert candidates.named([Path(f"@{tmp_path / 'list'}")]) == [tmp_path / "b.keras", Path("other.keras")]


@pytest.mark.parametrize("part", ["saved_model.pb", "config.json"])
def test_one_model_alone_is_not_many(part: str, tmp_path: Path) -> None:
    (tmp_path / part).touch()

    assert candidates.named([tmp_path]) is None
    assert candidates.named([Path("model.keras")]) is None


@pytest.mark.parametrize("content", [None, b"", b"# nothing\n\n", b"\xff\xfe"])
def test_a_list_that_names_nothing_is_refused_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "list").write_bytes(content)

    with pytest.raises(UsageError) as caught:
        candidates.named([Path(f"@{tmp_path / 'list'}")])

    assert "\n" not in str(caught.value)


def test_every_candidate_has_a_folder_of_its_own() -> None:
    models = [Path("a/m.keras"), Path("b/m.keras"), Path("m-2.keras"), Path("c/m.h5")]

    requests = candidates.requests_for(Request(models[0]), models, Path("out"))

    assert [request.out for request in requests] == [Path("out", name) for name in ("m", "m-2", "m-2-2", "m-3")]
    assert [request.model for request in requests] == models
