"""Models that are right under a contract of their own: allowed with it, blocked without it, and told how."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.outputs import run_json
from harness.records import Run
from tests.support.commands import ENTRY, python
from tests.support.folders import ROOT, once

KINDS = ("raw", "symmetric", "standardised", "inverted", "l2")
ARCHS = ("mlp", "cnn")
OWN = "RANGE = (-1, 1)\n\n\ndef normalize(images):\n    return (images / 127.5 - 1).astype('float32')[..., None]\n"


@pytest.fixture(scope="session")
def desk(shared: Path) -> Path:
    """The models, the 10,000 test digits alone, a policy of one gate, and a module."""
    mnist = os.environ.get("HARNESS_MNIST") or pytest.skip("needs the full MNIST: set HARNESS_MNIST to its .npz file")

    def build(draft: Path) -> None:
        draft.mkdir()
        subprocess.run([sys.executable, "-P", str(ROOT / "tests/support/contracts.py"), mnist, str(draft)], check=True)
        with np.load(mnist) as data:
            np.savez(draft / "digits.npz", x_test=data["x_test"], y_test=data["y_test"])
        gate = 'metric = "accuracy"\nat_least = 0.88\nbecause = "few epochs"\n'
        (draft / "p.toml").write_text(f'format = 1\nname = "p"\n\n[[gate]]\n{gate}')
        (draft / "steps.py").write_text(OWN)

    return once(shared, "contracts", build)


def judged(desk: Path, out: Path, names: list[str], *options: str) -> dict[str, Run]:
    models = [f"{name}.keras" for name in names]
    words = ["run", *models, "--data", "digits.npz", "--policy", "p.toml", "--quiet", "--out", str(out), *options]
    done = subprocess.run([*python(ENTRY), *words], cwd=desk, capture_output=True, text=True, timeout=900)
    assert done.returncode in (0, 1), done.stderr
    return {name: run_json.load(out / name / "run.json") for name in names}


@pytest.fixture(scope="session")
def undeclared(desk: Path, shared: Path) -> Path:
    names = [f"{kind}-{arch}" for kind in KINDS for arch in ARCHS]
    return once(shared, "undeclared", lambda draft: judged(desk, draft, names) and None)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_under_its_contract_is_allowed_with_it(kind: str, desk: Path, tmp_path: Path) -> None:
    runs = judged(desk, tmp_path, [f"{kind}-{arch}" for arch in ARCHS], "--preprocess", kind)

    assert [(run.verdict.word, run.verdict.counts["warned"]) for run in runs.values()] == [("allowed", 0)] * 2
    assert [run.model.contract and run.model.contract.kind for run in runs.values()] == [kind] * 2


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("kind", KINDS)
def test_without_it_it_is_blocked_and_the_line_says_how(kind: str, arch: str, undeclared: Path) -> None:
    run = run_json.load(undeclared / f"{kind}-{arch}" / "run.json")

    assert run.verdict.word == "blocked"
    assert f"if that is how it will be fed: --preprocess {kind}" in run.verdict.sentence


def test_a_module_that_states_its_range_is_held_to_it_and_allowed(desk: Path, tmp_path: Path) -> None:
    runs = judged(desk, tmp_path, [f"symmetric-{arch}" for arch in ARCHS], "--preprocess", "./steps.py")

    assert [run.verdict.word for run in runs.values()] == ["allowed_with_warnings"] * 2  # it takes its own result
    assert [run.model.contract and run.model.contract.high for run in runs.values()] == [1.0] * 2
