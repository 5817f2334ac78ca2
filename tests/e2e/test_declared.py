"""A model of one's own comes to an allowed verdict without a network, where it is declared what it was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main
from harness.outputs import run_json
from tests.support import digit_files


def test_a_model_that_did_not_learn_from_the_embedded_test_digits_is_allowed_on_them(
    reference_model: Path, fork_server: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["run", str(reference_model), "--data", "embedded", "--trained-on", "embedded", "--out", str(tmp_path)])

    assert code == 0
    assert run_json.load(tmp_path / "run.json").data.trained_on == "the training part of embedded MNIST digits"
    assert "Trained on, as declared: the training part of embedded MNIST digits\n" in capsys.readouterr().out


def test_a_model_that_was_trained_on_the_test_digits_is_blocked_and_told_why(
    reference_model: Path, fork_server: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, digits = tmp_path / "p.toml", digit_files.npz(tmp_path, *digit_files.digits())
    policy.write_text('format = 1\nname = "x"\n[[gate]]\nmetric = "accuracy"\nat_least = 0.1\nbecause = "x"\n')
    options = {"data": digits, "trained-on": digits, "policy": policy, "out": tmp_path / "out"}

    assert main(["run", str(reference_model), *(f"--{name}={value}" for name, value in options.items())]) == 1
    assert "in the training part, too: " in capsys.readouterr().out
