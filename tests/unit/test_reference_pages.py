"""The generated pages of the documentation are what the code says today."""

from __future__ import annotations

import importlib.util

import pytest

from tests.support.folders import ROOT

SPEC = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
assert SPEC is not None
assert SPEC.loader is not None
REFERENCE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(REFERENCE)


@pytest.mark.parametrize("name", REFERENCE.PAGES)
def test_a_page_is_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / "reference" / name).read_text("utf-8") == REFERENCE.PAGES[name](), (
        "python docs/reference.py writes it again"
    )


def test_every_key_of_a_policy_is_described() -> None:
    undescribed = [
        f"{table.__name__}.{name}"
        for table in REFERENCE.TABLES.values()
        for name, field in table.model_fields.items()
        if not field.description
    ]

    assert undescribed == []
