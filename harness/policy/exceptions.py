"""Exceptions of a policy, each of an existing finding and with a reason: lowered checks and waivers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import cache
from typing import TypeVar

from harness.files import shipped_folder
from harness.formatting import one_line
from harness.policy.source import Section, Source
from harness.policy.table import CheckTable, FileTable, WaiverTable, suggest, tables
from harness.records import Gate, Lowering, Waiver

Given = TypeVar("Given", Lowering, Waiver)

_SEEN_BEFORE = "check/seen_before"  # what is asked of the evidence, not in a suite


_CHECK = re.compile(r"^(@pytest\.mark\.advisory\n)?def (test_\w+)", re.MULTILINE)


@cache
def checks() -> Mapping[str, bool]:
    """Return the ids of the checks of the suites, and whether a release needs each, without importing them."""
    texts = {path.name: path.read_text("utf-8") for path in sorted(shipped_folder("suites").glob("test_*.py"))}
    found = {f"check/{file}::{name}": not mark for file, text in texts.items() for mark, name in _CHECK.findall(text)}
    return {**found, _SEEN_BEFORE: True}


def lowered(files: Iterable[tuple[Source, FileTable, object]], mistakes: list[str]) -> dict[str, Lowering]:
    """Read the ``[[check]]`` tables: check id to why it only warns."""
    lowerings: dict[str, Lowering] = {}
    for source, table, _ in files:
        for rule, section, wrong in tables(CheckTable, table.check, source, "check", mistakes):
            at, name = source.line(section.line_of("id")), one_line(rule.id, 120)
            if "id" in wrong:
                continue
            if rule.id not in checks():
                mistakes.append(f"{at}: id = {name!r} is no check{suggest(rule.id, checks())}")
                continue
            if not checks()[rule.id]:
                mistakes.append(f"{at}: {name} only warns already; drop this [[check]]")
            if not wrong:
                _add(lowerings, rule.id, Lowering(rule.because, _where(source, section)), source, section, mistakes)
    return lowerings


def waivers(
    files: Iterable[tuple[Source, FileTable, object]],
    gates: Iterable[Gate],
    warning: Mapping[str, Lowering],
    mistakes: list[str],
) -> dict[str, Waiver]:
    """Read the ``[[waiver]]`` tables: finding id to waiver. ``warning``: checks that only warn."""
    unread = bool(mistakes)  # a gate that was not read may be the one that is waived
    required = {f"gate/{gate.id}": gate.level == "required" for gate in gates}
    required |= {check: needed and check not in warning for check, needed in checks().items()}
    waived: dict[str, Waiver] = {}
    for source, table, _ in files:
        for rule, section, wrong in tables(WaiverTable, table.waiver, source, "waiver", mistakes):
            at = source.line(section.line_of("finding"))
            if "finding" in wrong or (unread and rule.finding.startswith("gate/") and rule.finding not in required):
                continue
            if rule.finding not in required:
                unknown = f"finding = {one_line(rule.finding, 120)!r} is no finding of this policy"
                mistakes.append(f"{at}: {unknown}{suggest(rule.finding, required)}")
            elif not required[rule.finding]:
                mistakes.append(f"{at}: {one_line(rule.finding, 120)} only warns; there is nothing to waive")
            elif not wrong:
                given = Waiver(rule.until.isoformat(), rule.by, rule.because, _where(source, section))
                _add(waived, rule.finding, given, source, section, mistakes)
    return waived


def expired(waivers: Mapping[str, Waiver], today: date | None) -> Iterator[str]:
    """Name every waiver whose last day is over. ValueError where there is one and no date to hold it against."""
    for finding, waiver in waivers.items():
        if today is None:
            raise ValueError("a policy with a waiver is judged on a day; none was given")
        if waiver.until < today.isoformat():
            yield (
                f"{waiver.where}: the waiver of {one_line(finding, 120)} ended on {waiver.until}; mend the cause, or "
                "have it waived anew"
            )


def _add(
    found: dict[str, Given], finding: str, given: Given, source: Source, section: Section, mistakes: list[str]
) -> None:
    before = found.setdefault(finding, given)
    if before is not given:
        at = source.line(section.line)
        mistakes.append(f"{at}: {one_line(finding, 120)} is already named at {before.where}; keep one of the two")


def _where(source: Source, section: Section) -> str:
    return f"{source.name}:{section.line}"
