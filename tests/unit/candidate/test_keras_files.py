"""A file of Keras 2 on a machine without the kept Keras 2, which is an extra."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from harness.candidate.child import keras_files
from harness.candidate.scan import keras2
from harness.candidate.scan.budget import Rejected


def test_without_tf_keras_the_line_names_the_version_the_cause_and_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    described = {"class_name": "Sequential", "config": [keras2.COMPUTED_OTHERWISE]}
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(__version__="3.15.1"))
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    monkeypatch.setattr(keras2, "check", lambda _: None)

    with pytest.raises(Rejected) as refused:
        keras_files.load("model.h5", described, "2.4.0")
    assert str(refused.value) == (
        "Keras 2.4.0 wrote it, which Keras 3.15.1 cannot read (it computes hard_sigmoid otherwise);"
        " python -m pip install 'digit-release-harness[keras2]'"
    )
