"""A user's corruption in a policy: judged like any other; one that breaks is one line and costs nothing measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main
from harness.outputs import run_json
from harness.records import LIGHT

Said = pytest.CaptureFixture[str]
POLICY = """format = 1
name = "own"
[[gate]]
metric = "accuracy"
at_least = 0.5
because = "better than a coin"
[[gate]]
metric = "accuracy"
corruption = "{name}"
severity = {severity}
at_least = 0.2
because = "what our scanner does"
"""
FADED = "def faded(images, severity, rng): return images - images // 4\n"


@pytest.fixture
def judged(
    reference_model: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """``harness run`` in a folder of the user's, with one corruption at one severity."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def run(name: str, severity: int = 3) -> int:
        (tmp_path / "p.toml").write_text(POLICY.format(name=name, severity=severity))
        return main(["run", str(reference_model), "--data", "embedded", "--policy", "p.toml", "--out", "o", "-q"])

    return run


def trials(folder: Path) -> dict[str, int]:
    """List the trials that are kept, with the time when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "o" / "evidence").glob("trial-*.npz")}


def test_a_corruption_of_the_users_own_is_judged(judged: Callable[..., int], tmp_path: Path) -> None:
    (tmp_path / "faders.py").write_text(FADED)

    judged("faders:faded")

    run = run_json.load(tmp_path / "o" / "run.json")
    gate = next(finding for finding in run.findings if finding.gate and finding.gate.scope.corruption)
    assert (gate.status, gate.gate and gate.gate.scope.corruption) == ("passed", "faders:faded")


def test_one_that_breaks_is_one_line_and_costs_nothing_that_was_measured(
    judged: Callable[..., int], tmp_path: Path, capsys: Said
) -> None:
    (tmp_path / "breakers.py").write_text("def faded(images, severity, rng): raise OSError('out of ink')\n")
    code = judged("breakers:faded")
    said, kept = capsys.readouterr().err, trials(tmp_path)
    (tmp_path / "menders.py").write_text(FADED)

    again = judged("menders:faded")

    assert code == 4
    assert said == "harness: corruption breakers:faded raised at severity 3: OSError: out of ink\n"
    assert len(kept) == 1 + len(LIGHT)
    assert again != 4
    assert trials(tmp_path).items() > kept.items()
    assert not (tmp_path / "o" / "report.html").read_text().count("breakers")


def test_one_that_changed_is_measured_again_and_nothing_else(
    judged: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "changers.py").write_text(FADED)
    judged("changers:faded")
    before = trials(tmp_path)
    (tmp_path / "changers.py").write_text(FADED.replace("4", "2"))

    judged("changers:faded")

    assert len(trials(tmp_path)) == 3 + len(LIGHT)
    assert before.items() < trials(tmp_path).items()


@pytest.mark.parametrize(
    ("name", "severity", "expected"),
    [
        ("no_such:thing", 3, "p.toml:9: corruption no_such:thing cannot be imported"),
        ("fogg", 3, "p.toml:9: there is no corruption or space 'fogg'; did you mean fog?"),
        ("fog", 6, "p.toml:10: severity = 6"),
        ("fog", 0, "p.toml:10: severity = 0"),
    ],
)
def test_what_does_not_exist_is_named_with_its_line(
    name: str, severity: int, expected: str, judged: Callable[..., int], capsys: Said
) -> None:
    code = judged(name, severity)

    said = capsys.readouterr().err
    assert code == 4
    assert said.count("\n") == 1
    assert expected in said
