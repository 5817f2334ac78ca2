"""A policy is read again from the record of a run: the same gates, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness import policy
from harness.errors import NotRecorded, UsageError
from harness.files import shipped_policies
from harness.records import PolicyFacts

HEAD = 'format = 1\nname = "a rule"\n'
GATE = '[[gate]]\nmetric = "accuracy"\nat_least = 0.9\nbecause = "a reason"\n'
NOISE = GATE.replace("[[gate]]", '[[gate]]\ncorruption = "fog"\nseverity = 2')


def recorded(folder: Path, **texts: str) -> policy.Policy:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return policy.load(folder / "p.toml")


@pytest.mark.parametrize("name", sorted(shipped_policies()))
def test_a_shipped_policy_is_read_from_its_record(name: str) -> None:
    rules = policy.load(shipped_policies()[name])

    again = policy.parse(rules.facts)

    assert (again.gates, again.limits, again.facts) == (rules.gates, rules.limits, rules.facts)
    assert (again.lowered, again.waivers, again.preprocessing) == (rules.lowered, rules.waivers, rules.preprocessing)


def test_files_of_one_name_in_several_folders_are_kept_apart(tmp_path: Path) -> None:
    rules = recorded(
        tmp_path,
        p=f'include = ["a/q.toml", "b/q.toml"]\n{HEAD}{GATE}',
        a__q=HEAD + NOISE,
        b__q=f'include = ["../a/q.toml"]\n{HEAD}{NOISE.replace("fog", "spatter")}',
    )

    assert [len(file.includes) for file in rules.facts.files] == [2, 0, 1]
    assert policy.parse(rules.facts).gates == rules.gates
    assert len(rules.gates) == 3


def test_the_folder_that_is_worked_in_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rules = recorded(tmp_path, p=f'include = ["a/q.toml"]\n{HEAD}{GATE}', a__q=HEAD + NOISE)
    monkeypatch.chdir("/")

    assert [gate.file for gate in policy.parse(rules.facts).gates] == ["p.toml", "a/q.toml"]


def test_one_file_has_the_hash_that_a_user_computes_of_several_every_one_counts(tmp_path: Path) -> None:
    alone = recorded(tmp_path, p=HEAD + GATE).facts
    both, other = (
        recorded(tmp_path, p=f'include = ["q.toml"]\n{HEAD}{GATE}', q=HEAD + NOISE.replace("2", level)).facts
        for level in "12"
    )

    assert alone.sha256 == alone.files[0].sha256
    assert both.sha256 != other.sha256


def dropped(facts: PolicyFacts) -> PolicyFacts:
    return replace(facts, files=facts.files[:1])


def rewritten(facts: PolicyFacts) -> PolicyFacts:
    first = replace(facts.files[0], text=facts.files[0].text.replace("0.9", "0.1"))
    return replace(facts, files=(first, *facts.files[1:]))


def unlinked(facts: PolicyFacts) -> PolicyFacts:
    return replace(facts, files=(replace(facts.files[0], includes=()), *facts.files[1:]))


def added(facts: PolicyFacts) -> PolicyFacts:
    return replace(facts, files=(*facts.files, replace(facts.files[0], sha256="0" * 64)))


def emptied(facts: PolicyFacts) -> PolicyFacts:
    return replace(facts, files=())


def renamed(facts: PolicyFacts) -> PolicyFacts:
    return replace(facts, name="another")


@pytest.mark.parametrize("change", [dropped, rewritten, unlinked, added, emptied, renamed])
def test_a_record_that_does_not_agree_with_itself_is_refused(
    change: Callable[[PolicyFacts], PolicyFacts], tmp_path: Path
) -> None:
    rules = recorded(tmp_path, p=f'include = ["q.toml"]\n{HEAD}{GATE}', q=HEAD + NOISE)

    with pytest.raises(UsageError) as caught:
        policy.parse(change(rules.facts))

    assert not isinstance(caught.value, NotRecorded)
    assert len(str(caught.value).splitlines()) == 1


def test_code_that_a_record_names_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(
        "def right(labels, predictions, probabilities):\n    return labels == predictions\n"
    )
    facts = recorded(tmp_path, p=HEAD + GATE.replace("accuracy", "mine:right")).facts
    (tmp_path / "mine.py").write_text("raise SystemExit(7)")

    with pytest.raises(NotRecorded, match="mine:right"):
        policy.parse(facts)
