"""The public API on models and finished runs: the examples of docs/reference/python.md."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

from tests.support.folders import ROOT

POLICY = """format = 1
name = "some"
[[gate]]
metric = "accuracy"
at_least = 0.5
because = "better than a coin"
"""


def test_the_examples_of_the_documentation_give_what_they_say(
    reference_model: Path, fork_server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    monkeypatch.chdir(tmp_path)
    files = {"RELEASE": reference_model, "NEXT": reference_model, "POLICY": tmp_path / "policy.toml"}

    failed, tried = doctest.testfile(str(ROOT / "docs" / "reference" / "python.md"), module_relative=False, globs=files)

    assert (failed, tried > 15) == (0, True)
    assert [path.name for path in tmp_path.iterdir() if path.name[0] != "." and path.suffix != ".toml"] == ["last"]
    assert (tmp_path / "last" / "report.html").is_file()
