"""Exceptions and input of a policy: lowered checks, waivers, contract; read with their line, or refused with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from harness import policy
from harness.candidate.parent import preprocessing
from harness.candidate.parent.preprocessing import CONTRACTS, KINDS, Preprocessing
from harness.errors import UsageError
from harness.records import InputContract, Lowering, ModelFacts, Waiver
from harness.run import session
from harness.run.session import Request

HEAD = 'format = 1\nname = "a policy"\n\n'
GATE = '[[gate]]\nmetric = "accuracy"\nat_least = 0.9\nbecause = "a reason"\n\n'
SEQUENTIAL = "check/test_contract.py::test_the_model_is_sequential"
CHECK = f'[[check]]\nid = "{SEQUENTIAL}"\nlevel = "warning"\nbecause = "a plain chain all the same"\n\n'
WAIVER = '[[waiver]]\nfinding = "gate/accuracy"\nuntil = 2027-01-31\nby = "Ada"\nbecause = "the hall opens"\n\n'


def loaded(folder: Path, text: str) -> policy.Policy:
    (folder / "p.toml").write_text(HEAD + text)
    return policy.load(folder / "p.toml")


def test_a_lowered_check_is_read_with_its_reason_and_place(tmp_path: Path) -> None:
    found = loaded(tmp_path, GATE + CHECK)

    assert found.lowered == {SEQUENTIAL: Lowering("a plain chain all the same", "p.toml:9")}


def test_a_waiver_is_read_with_its_last_day(tmp_path: Path) -> None:
    found = loaded(tmp_path, GATE + WAIVER)

    assert found.waivers == {"gate/accuracy": Waiver("2027-01-31", "Ada", "the hall opens", "p.toml:9")}


def test_exceptions_of_an_included_policy_hold(tmp_path: Path) -> None:
    (tmp_path / "all.toml").write_text(HEAD.replace("\n\n", '\ninclude = ["p.toml"]\n\n'))
    loaded(tmp_path, GATE + CHECK + WAIVER)

    found = policy.load(tmp_path / "all.toml")

    assert (list(found.lowered), list(found.waivers)) == ([SEQUENTIAL], ["gate/accuracy"])


# what is wrong -> (text, line, words of the message)
MISTAKES = {
    "a check that is none": (CHECK.replace("sequential", "sequentail"), 10, f"did you mean '{SEQUENTIAL}'?"),
    "a level that hides": (CHECK.replace('"warning"', '"off"'), 11, "input should be 'warning'"),
    "a check without why": (CHECK.replace("because", "# because"), 9, "the key 'because' is missing"),
    "an empty reason": (CHECK.replace("a plain chain all the same", " "), 12, "because: is empty; say why"),
    "a check twice": (CHECK + CHECK, 14, "is already named at p.toml:9; keep one of the two"),
    "a check that only warns": (
        CHECK.replace("the_model_is_sequential", "its_layers_can_be_seen"), 10, "only warns already; drop",
    ),
    "a control": (CHECK.replace(SEQUENTIAL, "control/always_right"), 10, "'control/always_right' is no check"),
    "a finding that is none": (
        WAIVER.replace("accuracy", "acuracy"), 10, "is no finding of this policy; did you mean 'gate/accuracy'?",
    ),
    "a waiver of a lowered check": (
        CHECK + WAIVER.replace("gate/accuracy", SEQUENTIAL), 15, "only warns; there is nothing to waive",
    ),
    "a day as text": (WAIVER.replace("2027-01-31", '"2027-01-31"'), 11, "input should be a valid date"),
    "a time": (WAIVER.replace("2027-01-31", "2027-01-31T10:00:00"), 11, "until = datetime.datetime(2027"),
    "no day": (WAIVER.replace("until", "# until"), 9, "the key 'until' is missing"),
    "nobody": (WAIVER.replace("by =", "# by ="), 9, "the key 'by' is missing"),
    "a finding waived twice": (WAIVER + WAIVER, 15, "is already named at p.toml:9; keep one of the two"),
    "a kind that is none": ('[preprocessing]\nkind = "-1..1"\n', 10, "is neither a module nor one of unit, raw"),
    "figures of another kind": ('[preprocessing]\nkind = "raw"\nmean = 0.1\n', 10, "of kind = 'standardised' only"),
    "no figures": ('[preprocessing]\nkind = "standardised"\nmean = 0.1\n', 10, "the mean and std of pixels"),
    "a deviation of nothing": (
        '[preprocessing]\nkind = "standardised"\nmean = 0.1\nstd = 0.0\n', 12, "std = 0.0: input should be greater",
    ),
    "an unknown key": ('[preprocessing]\nkid = "raw"\n', 10, "unknown key 'kid'; did you mean 'kind'?"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_line(mistake: str, tmp_path: Path) -> None:
    text, line, words = MISTAKES[mistake]

    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, GATE + text)
    told = [one for one in str(caught.value).splitlines() if f"p.toml:{line}: " in one]

    assert len(told) == 1
    assert words in told[0]


def test_a_table_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"p\.toml:4: write each check under a \[\[check\]\] header of its own"):
        loaded(tmp_path, 'check = [{id = "x"}]\n' + GATE)


def test_preprocessing_of_an_included_policy_is_refused(tmp_path: Path) -> None:
    loaded(tmp_path, GATE + '[preprocessing]\nkind = "raw"\n')
    (tmp_path / "all.toml").write_text(HEAD.replace("\n\n", '\ninclude = ["p.toml"]\n\n'))

    with pytest.raises(UsageError, match=r"p\.toml:9: preprocessing of an included policy"):
        policy.load(tmp_path / "all.toml")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("unit", "standardised")])
def test_a_kind_is_read(kind: str, tmp_path: Path) -> None:
    found = loaded(tmp_path, GATE + f'[preprocessing]\nkind = "{kind}"\n')

    assert found.preprocessing == Preprocessing(CONTRACTS, InputContract.of(KINDS[kind]))


def test_figures_and_modules_are_read(tmp_path: Path) -> None:
    ours = loaded(tmp_path, GATE + '[preprocessing]\nkind = "standardised"\nmean = 0.5\nstd = 0.25\n').preprocessing
    module = loaded(tmp_path, GATE + '[preprocessing]\nkind = "package.steps"\n').preprocessing

    assert ours == Preprocessing(CONTRACTS, InputContract("standardised", -2.0, 2.0, 0.5, 0.25))
    assert module == Preprocessing("package.steps")


def test_the_option_may_not_say_other_than_the_policy(tmp_path: Path) -> None:
    rules = loaded(tmp_path, GATE + '[preprocessing]\nkind = "symmetric"\n')
    request = Request(tmp_path / "m.keras", preprocess="raw")

    assert session.preprocessing(Request(tmp_path / "m.keras", preprocess="symmetric"), rules) == rules.preprocessing
    assert session.preprocessing(Request(tmp_path / "m.keras"), rules) == rules.preprocessing
    assert session.preprocessing(request, None) == Preprocessing(CONTRACTS, InputContract.of("raw"))
    with pytest.raises(UsageError, match=r"--preprocess raw is not what the policy asks for \(.*p\.toml:10\)"):
        session.preprocessing(request, rules)


@pytest.mark.parametrize(("named", "fed"), [("unit", False), ("raw", True), ("symmetric", False), ("steps", False)])
def test_a_finished_run_is_judged_by_a_policy_of_its_own_input_only(named: str, fed: bool) -> None:
    contract = replace(InputContract.of("raw"), dtype="uint8")
    model = ModelFacts("m", "0", 1, "Sequential", (), (), 0, (), CONTRACTS, contract=contract)

    assert preprocessing.named(named).fed(model) == fed


def test_without_the_table_nothing_is_said_of_the_input(tmp_path: Path) -> None:
    assert loaded(tmp_path, GATE).preprocessing is None


@pytest.mark.parametrize(("today", "holds"), [((2026, 11, 28), True), ((2027, 1, 31), True), ((2027, 2, 1), False)])
def test_a_waiver_holds_until_the_end_of_its_last_day(today: tuple[int, int, int], holds: bool, tmp_path: Path) -> None:
    found = loaded(tmp_path, GATE + WAIVER)
    if holds:
        policy.check_waivers(found, date(*today))
        return

    with pytest.raises(
        UsageError, match=r"^p\.toml:9: the waiver of gate/accuracy ended on 2027-01-31; mend the cause"
    ):
        policy.check_waivers(found, date(*today))


def test_a_waiver_is_never_taken_without_a_day_to_hold_it_against(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is judged on a day"):
        policy.check_waivers(loaded(tmp_path, GATE + WAIVER), None)
