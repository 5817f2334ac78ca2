"""The kept answers of benchmarks/successors.py come back as they were measured."""

from __future__ import annotations

import json

import pytest

from tests.support import retrains, successors


def test_the_digits_are_those_of_the_older_panel_and_half_of_the_faults_set_the_constants() -> None:
    assert successors.data() == json.loads(retrains.kept()["about"].tobytes())["data"]
    assert len(successors.faulty("set")) == len(successors.faulty("judged")) == 46


@pytest.mark.parametrize("name", ["mlp-00", "convnet-11", "lenet-05", "logits x 3-mlp", "few data 1500-convnet"])
def test_what_was_wrong_comes_back_as_it_was_measured(name: str) -> None:
    found = successors.evidence(name)

    wrong = tuple(int((found.answers[trial] != found.labels).sum()) for trial in successors.trials())

    assert wrong == successors.models()[name].wrong
