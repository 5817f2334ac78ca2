"""Card, bill of materials, metrics and badge: valid by their own libraries, whatever a run holds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from huggingface_hub import ModelCard
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.formatting import one_line
from harness.outputs import badge, openmetrics
from harness.records import Run, Scope
from harness.report import bom, card, markdown
from harness.run.finished_run import FinishedRun
from harness.run.form_files import FILES
from harness.run.forms import FORMS
from tests.support import samples
from tests.support.orders import ORDERS

TEXTS = [
    *ORDERS,
    samples.NASTY,
    '"}\n---\nlicense: mit\n---\n',
    'x"} 1\n# EOF\n',
    "😀\u2028'\\",
    "---",
    "{{x}}",
    "%s{0}",
]


def in_succession() -> samples.Sample:
    return samples.beside(samples.allowed())


def carried(run: Run) -> ModelCard:
    return ModelCard(card.render(run))


def faults(text: str) -> list[str]:
    """List what the strict schema of CycloneDX 1.6 says against a text."""
    from cyclonedx.schema import SchemaVersion  # here: it takes seconds, of each worker
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return [] if found is None else [str(found)]


def of(run: Run) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(bom.render(run, samples.SESSION))
    return content


def hostile(text: str) -> Run:
    """A blocked run in which every text from outside is ``text``."""
    run, _ = samples.blocked()
    layers = tuple(replace(layer, name=text, kind=text) for layer in run.model.layers)
    model = replace(run.model, name=text, sha256=text, kind=text, layers=layers, preprocess_sha256=text)
    measured = tuple(
        replace(one, metric=text, scope=replace(one.scope, corruption=text)) if one.scope.corruption else one
        for one in run.measurements
    )
    return replace(
        run,
        model=model,
        data=replace(run.data, name=text, sha256=text),
        findings=tuple(replace(one, id=text, title=text, reason=text, because=text) for one in run.findings),
        verdict=replace(run.verdict, sentence=text, advice=text),
        versions={"keras": f"3{text}", "numpy": text, text: text},
        measurements=measured,
    )


def test_every_form_has_a_name_for_its_file() -> None:
    assert set(FILES) == {form.partition(".")[0] for form in FORMS}


@pytest.mark.parametrize("form", FORMS)
def test_equal_runs_give_equal_bytes(form: str) -> None:
    run, evidence = samples.blocked()
    same = replace(run, findings=tuple(run.findings), versions=dict(reversed(list(run.versions.items()))))

    first, second = (FORMS[form](FinishedRun(each, evidence, samples.SESSION)) for each in (run, same))

    assert first == second


def test_the_hub_reads_the_results_of_a_card_back() -> None:
    run, _ = samples.allowed()
    measured = {one.metric: one for one in run.measurements if one.scope == Scope()}

    found = carried(run)

    assert found.data.library_name == "keras"
    assert found.data.model_name == run.model.name
    results = {one.metric_type: one for one in found.data.eval_results or ()}
    assert {name: one.metric_value for name, one in results.items()} == {
        name: measured[name].value for name in card.METRICS if name in measured
    }
    assert {"accuracy", "worst_class_recall", "log_loss"} <= set(results)
    assert results["accuracy"].metric_name.startswith("accuracy (95 % interval ")
    assert {(one.dataset_name, one.dataset_revision) for one in results.values()} == {(run.data.name, run.data.sha256)}
    assert found.text.strip() == markdown.render(run).strip()


@pytest.mark.parametrize("text", TEXTS)
def test_outside_text_is_text_in_a_card(text: str) -> None:
    plain, attacked = carried(samples.blocked()[0]), carried(hostile(text))

    assert set(attacked.data.to_dict()) == set(plain.data.to_dict())
    assert attacked.data.model_name == one_line(text, 120)
    assert len(attacked.data.eval_results or ()) == len(plain.data.eval_results or ())


@pytest.mark.parametrize("make", [samples.allowed, samples.blocked, samples.dead, samples.by_writer, in_succession])
def test_the_bill_of_materials_fits_the_strict_schema(make: Any) -> None:
    assert faults(bom.render(make()[0], samples.SESSION)) == []


def test_a_typing_error_in_a_bill_of_materials_is_noticed() -> None:
    spoilt = bom.render(samples.allowed()[0], samples.SESSION).replace("performanceMetrics", "performanceMetric")

    assert faults(spoilt) != []


@pytest.mark.parametrize("text", TEXTS)
def test_outside_text_is_text_in_a_bill_of_materials(text: str) -> None:
    found = bom.render(hostile(text), replace(samples.SESSION, when=text))

    assert faults(found) == []
    assert "timestamp" not in json.loads(found)["metadata"]


def test_the_bill_names_the_model_by_its_hash_and_what_ran_it() -> None:
    run, _ = samples.blocked()
    run = replace(run, model=replace(run.model, sha256="ab" * 32), versions={"keras": "3.15.1+x", "numpy": "none"})
    found = of(run)
    model = found["metadata"]["component"]

    assert (model["type"], model["name"]) == ("machine-learning-model", run.model.name)
    assert model["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert [one["purl"] for one in found["components"] if "purl" in one] == ["pkg:pypi/keras@3.15.1%2Bx"]
    assert found["metadata"]["timestamp"] == "2026-11-22T08:36:00+00:00"


def test_the_bill_has_every_measurement_with_its_interval() -> None:
    run, _ = samples.blocked()
    metrics = of(run)["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]

    shown = [(one["type"], one["value"], *one["confidenceInterval"].values()) for one in metrics]

    assert shown == [(one.metric, repr(one.value), repr(one.low), repr(one.high)) for one in run.measurements]
    assert {"type": "recall", "slice": "recall of 5"}.items() <= metrics[[
        (one.metric, one.scope) for one in run.measurements
    ].index(("recall", Scope(digit=5)))].items()  # fmt: skip


def test_another_run_has_another_serial_number() -> None:
    run, _ = samples.blocked()
    numbers = {of(each)["serialNumber"] for each in (run, replace(run, data=replace(run.data, name="x")))}

    assert len(numbers) == 2


@pytest.mark.parametrize("text", TEXTS)
def test_outside_text_is_one_label_in_the_metrics(text: str) -> None:
    attacked = hostile(text)
    corrupted = tuple(replace(one, metric="accuracy") if one.scope.corruption else one for one in attacked.measurements)
    plain, found = (
        [one for family in text_string_to_metric_families(openmetrics.render(run)) for one in family.samples]
        for run in (samples.blocked()[0], replace(attacked, measurements=corrupted))
    )

    assert {one.name for one in found} == {one.name for one in plain}
    assert {tuple(one.labels) for one in found} == {tuple(one.labels) for one in plain}


@pytest.mark.parametrize("make", [samples.allowed, samples.warned, samples.blocked, samples.no_verdict])
def test_a_badge_is_a_picture_with_a_name(make: Any) -> None:
    root = ET.fromstring(badge.svg(make()[0]))
    space = "{http://www.w3.org/2000/svg}"

    texts = [str(one.text) for one in root.iter(f"{space}text")]

    assert root.attrib["role"] == "img"
    assert root.findtext(f"{space}title") == ": ".join(texts)


def test_the_badge_of_shields_has_the_fields_that_it_reads() -> None:
    run, _ = samples.no_verdict()

    assert json.loads(badge.endpoint(run)) == {
        "schemaVersion": 1, "label": "release gate", "message": "no verdict", "color": "3b4a5e", "isError": True,
        "cacheSeconds": 300,
    }  # fmt: skip
