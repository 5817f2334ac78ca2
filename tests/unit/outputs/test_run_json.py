"""run.json: what is written is read back, and nothing else is read as a run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import policy
from harness.errors import NotRecorded, UsageError
from harness.outputs import run_json
from harness.records import Measurement, Run
from harness.run import finished_run
from tests.support import samples

SCHEMA: dict[str, Any] = json.loads((Path(run_json.__file__).parents[1] / "run.schema.json").read_text("utf-8"))
SAMPLES = (samples.allowed, samples.warned, samples.blocked, samples.no_verdict, samples.dead, samples.mute)
each_sample = pytest.mark.parametrize("make", SAMPLES, ids=lambda make: str(make.__name__))


def validator() -> Any:
    from jsonschema import Draft202012Validator  # here: its formats take each worker a second

    return Draft202012Validator(SCHEMA)


def written(folder: Path, content: bytes | str) -> Path:
    path = folder / "run.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@cache
def written_once() -> bytes:
    return run_json.dump(samples.blocked()[0])


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        run_json.load(path)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    """The record of a blocked run, after ``change``."""
    content = json.loads(run_json.dump(samples.blocked()[0]))
    change(content)
    return json.dumps(content)


@each_sample
def test_a_run_is_read_back_as_it_was(make: Callable[[], samples.Sample], tmp_path: Path) -> None:
    run, _ = make()

    assert run_json.load(written(tmp_path, run_json.dump(run))) == run


def test_a_run_of_format_1_is_read_with_the_text_of_its_policy(tmp_path: Path) -> None:
    run = samples.blocked()[0]
    content = json.loads(run_json.dump(run))
    files = content["policy"].pop("files")
    content["policy"]["text"] = "\n".join(file["text"] for file in files)
    content["format"] = 1

    read = run_json.load(written(tmp_path, json.dumps(content)))

    assert [file.text for file in read.policy.files] == [content["policy"]["text"]]
    assert replace(read, policy=run.policy) == run
    with pytest.raises(NotRecorded, match="an earlier version"):
        policy.parse(read.policy)


def test_a_run_of_format_2_is_read_with_the_names_of_its_time(tmp_path: Path) -> None:
    run = samples.blocked()[0]
    text = run_json.dump(run).decode().replace('"format": 3', '"format": 2')
    older = text.replace('"detectable_below"', '"shortfall"').replace('"detectable_above"', '"headroom"')

    assert '"shortfall": 0.' in older
    assert run_json.load(written(tmp_path, older)) == run


@each_sample
def test_a_run_that_was_read_is_written_to_the_same_bytes(make: Callable[[], samples.Sample], tmp_path: Path) -> None:
    content = run_json.dump(make()[0])

    assert run_json.dump(run_json.load(written(tmp_path, content))) == content


@each_sample
def test_every_run_fits_the_schema_in_the_repository(make: Callable[[], samples.Sample]) -> None:
    assert list(validator().iter_errors(json.loads(run_json.dump(make()[0])))) == []


def test_the_schema_in_the_repository_is_that_of_the_records() -> None:
    """Compare; if they differ, write json.dumps(run_json.schema(), indent=1, sort_keys=True) to the file."""
    assert run_json.schema() == SCHEMA


def test_the_schema_describes_every_record_and_field() -> None:
    records = {"Run": SCHEMA, **SCHEMA["$defs"]}
    fields = {(name, field): of for name, record in records.items() for field, of in record["properties"].items()}

    assert [what for what, of in {**records, **fields}.items() if not of.get("description")] == []


def test_the_schema_is_one() -> None:
    validator().check_schema(SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run.pop("verdict"),
        lambda run: run.update(format=4),
        lambda run: run.update(comment="x"),
        lambda run: run["verdict"].update(word="fine"),
        lambda run: run["findings"][0].update(status="skipped"),
        lambda run: run["findings"][0].update(passed=True),
        lambda run: run.update(seed="1"),
    ],
)
def test_what_the_schema_refuses_is_not_read_either(change: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    text = changed(change)

    assert list(validator().iter_errors(json.loads(text)))
    assert "run harness run again" in refused(written(tmp_path, text))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_run_that_lacks_its_power_is_refused(number: int, tmp_path: Path) -> None:
    text = changed(lambda run: (run.pop("power"), run.update(format=number)))

    assert "run harness run again" in refused(written(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be read as a run"),
        ("{", "cannot be read as a run"),
        ("null", "is no run.json of format 1 to 3"),
        ("[]", "is no run.json of format 1 to 3"),
        ("{}", "is no run.json of format 1 to 3"),
        ('{"format": 4}', "is no run.json of format 1 to 3"),
        ('{"format": "1"}', "is no run.json of format 1 to 3"),
        ('{"format": 1}', "cannot be read as a run"),
        ('{"format": 1, "policy": {"text": 7}}', "cannot be read as a run"),
        (b"\xff\xfe\x00", "cannot be read as a run"),
        ("[" * 100_000, "cannot be read as a run"),
        ("9" * 10_000, "cannot be read as a run"),
    ],
)
def test_what_is_no_run_is_refused_in_one_line(content: bytes | str, words: str, tmp_path: Path) -> None:
    assert words in refused(written(tmp_path, content))


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    assert refused(tmp_path / "run.json").endswith("run.json does not exist; run harness run first")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "cannot be read as a run" in refused(tmp_path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(number: str, tmp_path: Path) -> None:
    text = changed(lambda run: run["measurements"][0].update(value=-77.5)).replace("-77.5", number)

    assert "cannot be read as a run" in refused(written(tmp_path, text))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_is_not_written(value: float) -> None:
    run, _ = samples.blocked()

    with pytest.raises(ValueError, match="not JSON compliant"):
        run_json.dump(replace(run, measurements=(Measurement("accuracy", value, 0.0, 1.0, 3),)))


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run["verdict"].update(word="allowed"),
        lambda run: run["verdict"].update(exit_code=0),
        lambda run: run["verdict"].update(sentence="All is well."),
        lambda run: run["verdict"]["counts"].update(failed=0),
        lambda run: run.update(findings=[found for found in run["findings"] if found["status"] != "failed"]),
        lambda run: [found.update(status="passed") for found in run["findings"]],
        lambda run: [found.update(level="warning") for found in run["findings"]],
        lambda run: run.update(findings=[]),
    ],
)
def test_a_verdict_that_the_findings_do_not_give_is_refused(
    change: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    run = run_json.load(written(tmp_path, changed(change)))

    with pytest.raises(UsageError, match="states a verdict that its findings do not give"):
        finished_run.check(run, samples.blocked()[1], tmp_path)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_record_is_read_as_it_was_or_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(written_once())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    path = written(tmp_path_factory.getbasetemp(), bytes(content))

    try:
        verdict = run_json.load(path).verdict
    except UsageError:
        return
    assert verdict.word == samples.blocked()[0].verdict.word


@pytest.mark.parametrize("field", ["model", "data", "seed"])
def test_a_record_beside_evidence_of_another_run_is_refused(field: str, tmp_path: Path) -> None:
    run, evidence = samples.blocked()
    other: Run = {
        "model": replace(run, model=replace(run.model, sha256="another")),
        "data": replace(run, data=replace(run.data, sha256="another")),
        "seed": replace(run, seed=77),
    }[field]

    finished_run.check(run, evidence, tmp_path)
    with pytest.raises(UsageError, match="of different runs"):
        finished_run.check(other, evidence, tmp_path)


def test_a_record_beside_evidence_without_the_clean_images_is_refused(tmp_path: Path) -> None:
    run, evidence = samples.blocked()

    with pytest.raises(UsageError, match="of different runs"):
        finished_run.check(run, samples.answering(evidence, answers={}), tmp_path)


@pytest.mark.parametrize("table", [[[-1]], [[1] * 10] * 10])
def test_a_confusion_of_another_shape_is_refused(table: list[list[int]], tmp_path: Path) -> None:
    text = changed(lambda run: run.update(confusion=table))

    assert "confusion is no table of 10 rows and 11 columns" in refused(written(tmp_path, text))


def test_a_session_is_read_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "session.json").write_bytes(run_json.dump_session(samples.SESSION))

    assert run_json.load_session(tmp_path / "session.json") == samples.SESSION


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff", b"[1]"])
def test_a_session_that_cannot_be_read_is_none(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    if content is not None:
        path.write_bytes(content)

    assert run_json.load_session(path) is None
