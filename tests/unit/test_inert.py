"""Text from outside is text and nothing else, and has an end: in the page, in XML, in JSON and on the terminal."""

from __future__ import annotations

import json
import time
import types
import typing
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness import records, report
from harness.cli import show
from harness.errors import UsageError
from harness.judging import verdict
from harness.outputs import junit, run_json
from harness.records import Evidence, Run, Sandbox
from harness.run import finished_run
from tests.support import samples
from tests.support.samples import SESSION

PAYLOADS = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(2)><svg/onload=alert(3)><a href=javascript:alert(4)>",
    "end of an attribute": "\"' onmouseover='alert(1)' style=\"position:fixed\" x='",
    "end of an element": "</title></style></script></td></table></svg>--><!-- ]]> <![CDATA[",
    "template": "{{ 7 * 191 }}{% for x in y %}{{ x.__class__.__mro__ }}{% endfor %}${7*191}#{7*191}",
    "markup of the terminal's library": "[/][/bold][bold red]x[link=https://x.org]y[/link][@click=app.bell]z[/]\\[",
    "entity": "&lt;script&gt;&#60;b&#62;&#x3c;i&#x3e;&amp;quot;&unknown;",
    "terminal": "\x1b[2J\x1b]0;owned\x07\x1b[31m\x9b31m\x08\x7f\r\n\x0b\x0c",
    "direction": "\u202egnp.exe\u202c\u2066\u2067\u2069\u200f\u061c\u2028\u2029\ufeff",
    "surrogate": "\ud800\udfff\udc80",
    "length": "A" * 1_000_000,
}
BAD = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # categories of Unicode: controls, directions, half characters, line ends
HINTS: dict[type, dict[str, Any]] = {}  # of the fields of a record
each_payload = pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)


def poisoned(record: Any, text: str) -> Any:
    """The record with every free text in it replaced; choices, numbers and arrays as they were."""
    kind = type(record)
    if kind not in HINTS:  # the same record is attacked a thousand times
        HINTS[kind] = typing.get_type_hints(kind, vars(records))
    changed = {name: _poisoned(getattr(record, name), HINTS[kind][name], text) for name in HINTS[kind]}
    return replace(record, **changed)


def _poisoned(value: Any, hint: Any, text: str) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return poisoned(value, text)
    if isinstance(value, str):
        return text if hint is str else value
    if isinstance(value, tuple) and value and typing.get_args(hint):
        return tuple(_poisoned(one, typing.get_args(hint)[0], text) for one in value)
    if isinstance(value, types.MappingProxyType | dict) and typing.get_args(hint) == (str, str):
        return {text: text}
    return value


def attacked(text: str) -> tuple[Run, Evidence]:
    run, shown = samples.tiny()
    run = replace(run, sandbox=Sandbox((text,), (text,)), policy=replace(run.policy, files=run.policy.files * 2))
    return poisoned(run, text), replace(shown, model=poisoned(shown.model, text), fault=text)


class Outline(HTMLParser):
    """Elements with their attributes' names and the values that can lead somewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.kinds: set[tuple[str, str]] = set()
        self.places: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.kinds |= {(tag, name) for name, _ in attrs} | {(tag, "")}
        self.places |= {value or "" for name, value in attrs if name in {"href", "src", "action", "xlink:href"}}


def page(text: str) -> str:
    run, shown = attacked(text)
    return report.render(run, shown, poisoned(SESSION, text))


@each_payload
def test_the_page_has_no_element_attribute_or_address_of_its_own(payload: str) -> None:
    harmless, found = Outline(page("a word")), Outline(page(payload))

    assert found.kinds <= harmless.kinds
    assert {place for place in found.places if not place.startswith(("data:image/", "data:,", "#"))} == set()


@each_payload
def test_the_page_holds_no_control_or_direction_and_has_an_end(payload: str) -> None:
    html = page(payload)

    assert {c for c in html if unicodedata.category(c) in BAD} <= {"\n"}
    assert len(html.encode()) < 1_000_000
    assert str(7 * 191) not in html


@each_payload
def test_the_xml_is_the_same_tree_whatever_the_texts_say(payload: str) -> None:
    content = junit.render(attacked(payload)[0])
    tree, plain = ET.fromstring(content), ET.fromstring(junit.render(attacked("a word")[0]))

    assert [element.tag for element in tree.iter()] == [element.tag for element in plain.iter()]
    assert not {c for c in content.decode() if unicodedata.category(c) in BAD} - {"\n"}
    assert len(content) < 1_000_000


@each_payload
def test_the_terminal_is_told_words_only(
    payload: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = attacked(payload)[0]
    for columns in ("40", "160"):
        monkeypatch.setenv("COLUMNS", columns)
        show.verdict(run, Path("out"), as_json=False, quiet=False)
    printed = capsys.readouterr().out

    assert {c for c in printed if unicodedata.category(c) in BAD} <= {"\n"}
    assert len(printed) < 40_000


@each_payload
def test_the_summary_for_programs_is_one_json_value(payload: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = attacked(payload)[0]
    show.verdict(run, Path("out"), as_json=True, quiet=False)
    printed = capsys.readouterr().out

    assert json.loads(printed)["verdict"] == run.verdict.word
    assert printed.isascii()


@pytest.mark.parametrize("payload", [text for name, text in PAYLOADS.items() if name != "surrogate"])
def test_a_record_with_any_text_is_read_back_as_it_was(payload: str, tmp_path: Path) -> None:
    run = attacked(payload[:100_000])[0]
    run = replace(run, verdict=verdict.of(run.findings, run.suspects))
    (tmp_path / "run.json").write_bytes(run_json.dump(run))

    assert run_json.load(tmp_path / "run.json") == run


def test_a_record_with_half_a_character_is_not_written() -> None:
    with pytest.raises(UnicodeEncodeError):
        run_json.dump(attacked(PAYLOADS["surrogate"])[0])


def test_a_verdict_in_other_words_than_its_findings_give_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="states a verdict that its findings do not give"):
        finished_run.check(*attacked(PAYLOADS["terminal"]), tmp_path)


def test_a_message_about_any_name_is_one_bounded_printable_line(tmp_path: Path) -> None:
    from harness.candidate.parent.subject import Subject

    for payload in PAYLOADS.values():
        name = payload.replace("/", "_").replace("\0", "")[:100] + ".keras"
        with pytest.raises(UsageError) as caught:
            Subject.start(tmp_path / name)

        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 800


def test_long_texts_take_no_long_time() -> None:
    def seconds(make: Callable[[], object]) -> float:
        began = time.process_time()
        make()
        return time.process_time() - began

    short, long = seconds(lambda: page("a word")), seconds(lambda: page(PAYLOADS["length"]))

    assert long < 20 * short + 5


def test_every_free_text_of_the_records_is_attacked() -> None:
    """Name free texts of a record that the walk does not reach."""
    left: list[str] = []

    def walk(value: Any, place: str) -> None:
        if is_dataclass(value) and not isinstance(value, type):
            hints = typing.get_type_hints(type(value), vars(records))
            for field in fields(value):
                if hints[field.name] is str and getattr(value, field.name) not in ("a word", ""):
                    left.append(f"{place}.{field.name}")
                walk(getattr(value, field.name), f"{place}.{field.name}")
        elif isinstance(value, tuple):
            for one in value:
                walk(one, place)
        elif isinstance(value, Mapping):
            for one in value.values():
                walk(one, place)

    walk(attacked("a word")[0], "run")

    assert left == []
