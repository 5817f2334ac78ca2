"""Faults that are planted on purpose are judged somewhere."""

from __future__ import annotations

import re

from tests.support.folders import FAULTS, ROOT


def test_every_faulty_model_that_is_made_is_one_that_a_test_judges() -> None:
    made = re.findall(r"^@fault\ndef (\w+)", (FAULTS / "models.py").read_text("utf-8"), re.MULTILINE)
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    unjudged = [name for name in made if not re.search(rf"[\"/]{name}(\.keras)?\"", tests)]

    assert made
    assert not unjudged, f"give {unjudged[0]} a line in MODELS of tests/e2e/test_faults.py: words that must be said"
