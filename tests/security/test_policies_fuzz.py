"""Damage to the shipped policies: each damaged one loads, or names a line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness import policy
from harness.errors import UsageError
from harness.files import shipped_folder
from tests.support.fuzzing import many
from tests.unit.policy.test_policy import HEAD, SHIPPED


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shipped policies, one of which is changed by the tests below."""
    place = tmp_path_factory.mktemp("desk")
    for name in SHIPPED:
        (place / name).write_bytes((shipped_folder("suites") / name).read_bytes())
    return place


def loads_or_names_a_line(desk: Path, text: str) -> bool:
    path = desk / "changed.toml"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        policy.load(path)
    except UsageError as error:
        return all(re.match(r"\S*\.toml:[1-9]\d*: \S", line) for line in str(error).splitlines())
    return True


@pytest.mark.parametrize("name", SHIPPED)
def test_without_any_one_line_a_policy_loads_or_names_a_line(name: str, desk: Path) -> None:
    lines = (shipped_folder("suites") / name).read_text().splitlines(keepends=True)

    assert all(loads_or_names_a_line(desk, "".join(lines[:at] + lines[at + 1 :])) for at in range(len(lines)))


@given(data=st.data(), name=st.sampled_from(SHIPPED), into=st.characters(exclude_categories=["Cs"]))
@example(data=None, name="release.toml", into="[")
@settings(max_examples=many(150), deadline=None)
def test_with_any_one_character_changed_a_policy_loads_or_names_a_line(
    data: st.DataObject | None, name: str, into: str, desk: Path
) -> None:
    text = (shipped_folder("suites") / name).read_text()
    at = data.draw(st.integers(0, len(text) - 1)) if data else 0

    assert loads_or_names_a_line(desk, text[:at] + into + text[at + 1 :])


@given(text=st.text(max_size=200))
@settings(max_examples=many(50), deadline=None)
def test_any_text_at_all_loads_or_names_a_line(text: str, desk: Path) -> None:
    assert loads_or_names_a_line(desk, HEAD + text)
