"""Outputs for CI systems: they agree with the verdict whatever that is, and outside text is text in all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from huggingface_hub import ModelCard
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.cli import show
from harness.judging.verdict import HEADLINES
from harness.outputs import azure, badge, github, gitlab, junit, statement
from harness.records import Run
from harness.report import bom, card, facts, markdown
from harness.run.publish import publish
from tests.support import samples
from tests.support.orders import ORDERS, obeyed

TAGS = {
    "h3",
    "p",
    "ul",
    "li",
    "strong",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "details",
    "summary",
    "code",
    "sub",
}
ALONE = (samples.allowed, samples.warned, samples.blocked, samples.no_verdict, samples.dead)
SAMPLES = {make.__name__: make for make in ALONE} | {
    f"{make.__name__} beside a release": lambda make=make: samples.beside(make()) for make in ALONE[:4]
}
each_verdict = pytest.mark.parametrize("make", SAMPLES.values(), ids=SAMPLES)
Make = Callable[[], samples.Sample]


def page(text: str) -> str:
    """The HTML that GitHub's own parser makes, where markup of our own is kept."""
    return str(cmarkgfm.github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE))


def numbers_in(text: str) -> list[Any]:
    return list(text_string_to_metric_families(text))


def hostile(text: str, run: Run) -> Run:
    """A run in which every text from outside is ``text``."""
    findings = tuple(
        replace(one, title=text, reason=text, because=text, where=f"{text}:1", id=f"{text}{at}")
        for at, one in enumerate(run.findings)
    )
    model, data = replace(run.model, name=text, sha256=text), replace(run.data, name=text, sha256=text)
    policy = replace(run.policy, name=text, file=text, sha256=text)
    verdict = replace(run.verdict, sentence=text, advice=text)
    return replace(run, findings=findings, model=model, data=data, policy=policy, verdict=verdict, command=text)


def told(run: Run, tmp_path: Path, **environ: str) -> tuple[list[str], str, str]:
    """Orders for the log, step outputs and summary."""
    names = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "GITHUB_OUTPUT": str(tmp_path / "outputs")}
    orders = publish(run, tmp_path, run.verdict.exit_code, {**names, **environ})
    return orders, (tmp_path / "outputs").read_text("utf-8"), (tmp_path / "summary").read_text("utf-8")


@each_verdict
def test_exit_code_summary_annotations_outputs_report_numbers_badge_card_bill_and_statement_agree(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = make()
    counts, released = run.verdict.counts, run.verdict.word in ("allowed", "allowed_with_warnings")
    soft = counts["warned"] + counts.get("waived", 0)
    hard = sum(counts[status] for status in ("failed", "inconclusive", "not_evaluated"))

    orders, outputs, summary = told(run, tmp_path, GITHUB_ACTIONS="true", GITLAB_CI="true", TF_BUILD="True")
    code = show.verdict(run, tmp_path, as_json=False, quiet=True, ci="none")
    said = dict(line.split("=", 1) for line in outputs.splitlines())
    families = numbers_in((tmp_path / "metrics.txt").read_text("utf-8"))
    numbers = {(one.name, *one.labels.values()): one.value for each in families for one in each.samples}
    stated = ET.fromstring(junit.render(run))
    pictured, shield = ET.fromstring(badge.svg(run)), json.loads(badge.endpoint(run))
    carried = ModelCard(card.render(run))
    model = json.loads(bom.render(run, samples.SESSION))["metadata"]["component"]

    assert (code == 0) is released
    assert (said["exit-code"], said["verdict"]) == (str(code), run.verdict.word)
    assert int(said["failed"]) == counts["failed"] == int(stated.attrib["failures"])
    assert summary.startswith(f"### {' '.join(facts.VERDICTS[run.verdict.word][:2])}: ")
    assert HEADLINES[run.verdict.word] in capsys.readouterr().out
    assert numbers["harness_released",] == released
    assert [numbers["harness_findings", status] for status in counts] == list(counts.values())
    word = run.verdict.word.replace("_", " ")
    assert pictured.findtext("{*}title") == f"release gate: {word}"
    assert (shield["message"], shield["isError"]) == (word, not released)
    assert f"release-gate-{word.replace(' ', '-')}" in (carried.data.tags or [])
    assert carried.text.strip() == summary.strip()
    assert {"name": "harness:verdict", "value": run.verdict.word} in model["properties"]
    limits = model["modelCard"]["considerations"]["technicalLimitations"]
    assert len(limits) == sum(one.status != "passed" for one in run.findings) >= hard + soft
    proven = statement.predicate(run, "", "")
    assert (proven["result"] == "FAILED", proven["digitReleaseHarness"]["exitCode"]) == (not released, code)
    assert [len(proven[f"{name}Tests"]) for name in ("passed", "warned", "failed")] == [
        sum(one.status == "passed" for one in run.findings),
        soft,
        hard,
    ]
    for kind, amount in (("error", hard), ("warning", soft)):
        assert sum(order.startswith(f"::{kind}") for order in orders) == min(amount, github.MOST)
        assert sum(f"##vso[task.logissue type={kind}" in order for order in orders) == amount
    assert (hard == 0) is released
    assert page(summary).count("<tr>") >= min(len(run.findings), 20)


@pytest.mark.parametrize(
    "text", [*ORDERS, samples.NASTY, "</details>|a`b``c` @octocat #12 https://a.b www.a.b me@a.bc !x"]
)
def test_outside_text_is_text_in_everything_that_is_shown(text: str, tmp_path: Path) -> None:
    run = hostile(text, samples.blocked()[0])

    orders, outputs, summary = told(run, tmp_path, GITHUB_ACTIONS="true", GITLAB_CI="true", TF_BUILD="True")
    html = page(summary)

    assert set(re.findall(r"</?([a-z]+\d?)", html)) <= TAGS
    assert "@octocat" not in re.sub("<code>.*?</code>", "", html)
    assert {row.count("<td>") for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)} <= {0, 5}
    assert obeyed(summary.replace("###", "", 1)) == []
    assert [line.split("=")[0] for line in outputs.splitlines()] == [
        "verdict", "exit-code", "sentence", "failed", "warned", "accuracy", "model-sha256", "report"
    ]  # fmt: skip
    for order in orders:
        assert order.isprintable()
        assert obeyed(re.sub(r"^(::(error|warning)( [^:]*)?::|##vso\[)", "", order)) == []
    assert (tmp_path / "metrics.txt").read_text("utf-8").endswith("# EOF\n")


def test_a_summary_of_two_thousand_gates_fits_a_comment() -> None:
    run = hostile("<&|" * 200, samples.blocked()[0])
    many = replace(run, findings=run.findings * 50)

    assert len(many.findings) > 2000
    assert len(markdown.render(many).encode()) <= markdown.LIMIT


def test_an_annotation_stands_at_the_line_of_the_policy_that_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "a,b.toml").write_text("x")
    run, _ = samples.blocked()
    findings = tuple(
        replace(one, where="policies/a,b.toml:7", title="a: b, c", reason="50 % [x]") for one in run.findings
    )
    run = replace(run, findings=findings)

    found, other = github.issues(run, tmp_path), azure.issues(run, tmp_path)

    assert found[0] == "::error file=policies/a%2Cb.toml,line=7,title=a%3A b%2C c::50 %25 [x]"
    assert other[0] == "##vso[task.logissue type=error;sourcepath=policies/a,b.toml;linenumber=7;]50 %AZP25 [x%5D"
    assert github.issues(run, tmp_path / "policies" / "else")[0].startswith("::error title=")


def test_gitlab_links_to_the_report_of_the_job(tmp_path: Path) -> None:
    job = {"CI_JOB_URL": "https://git.example/g/p/-/jobs/1", "CI_PROJECT_DIR": str(tmp_path)}

    links = json.loads(gitlab.links(tmp_path / "out" / "report.html", job))

    (link,) = links["Model report"]
    assert link["external_link"]["url"] == "https://git.example/g/p/-/jobs/1/artifacts/file/out/report.html"


def test_without_a_system_nothing_is_written(tmp_path: Path) -> None:
    assert publish(samples.blocked()[0], tmp_path, 1, {"CI": "true"}) == []
    assert list(tmp_path.iterdir()) == []


def test_a_summary_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path)}

    assert publish(samples.allowed()[0], tmp_path, 0, environ)[-1].startswith("::warning::harness cannot write ")
