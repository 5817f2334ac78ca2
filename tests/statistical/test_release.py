"""Gates of release.toml on clean images: the reference cnn of other seeds passes, and faults do not."""

from __future__ import annotations

import pytest

from harness import policy
from harness.files import shipped_folder
from harness.judging.gates import judge_all
from harness.metrics import METRICS, evaluate
from harness.records import Evidence
from tests.statistical.test_retrains import with_logits_times
from tests.support import retrains

RELEASE = policy.load(shipped_folder("suites") / "release.toml").gates
CLEAN = [
    gate
    for gate in RELEASE
    if gate.level == "required" and gate.scope.corruption is None and METRICS[gate.metric].of != "trigger"
]


def stopping(shown: Evidence) -> list[str]:
    return [one.id for one in judge_all(evaluate(shown, CLEAN)) if one.status != "passed"]


@pytest.mark.parametrize("seed", [3, 5, 8, 9, 13, 15])
def test_another_seed_of_the_reference_cnn_is_let_through(seed: int) -> None:
    """Judge seeds among which are the nearest to a threshold of twenty."""
    assert not stopping(retrains.by_writer(retrains.evidence(f"cnn-{seed:02}")))


@pytest.mark.parametrize("seed", [0, 3, 12])
def test_a_confidence_sharpened_by_half_is_stopped_by_that_of_mistakes(seed: int) -> None:
    shown = with_logits_times(retrains.by_writer(retrains.evidence(f"cnn-{seed:02}")), 1.5)

    assert "gate/confidence_of_mistakes" in stopping(shown)
