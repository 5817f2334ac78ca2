"""Collects suites and gates, gathers what they find, and gives the verdict at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from dataclasses import asdict
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.plugin import checks
from harness.plugin.items import PROPERTY, SHOWN, GateItem, PolicyFile, Suite

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from harness.records import Finding
    from harness.run.inspection import Inspection

OURS = "harness_id"  # on a report: which finding it is of
ORDER = ("test_normalization.py", "test_one_hot.py", "test_contract.py")  # causes before what they cause
_KINDEST_FIRST = ("passed", "inconclusive", "not_evaluated", "failed")


class Judge:
    """The plugin that is active while a model is judged."""

    def __init__(self, config: pytest.Config, inspection: Inspection) -> None:
        from harness.files import shipped_folder

        assert inspection.policy is not None
        self.config = config
        self.inspection = inspection
        self.policy = inspection.policy
        self.suites = shipped_folder("suites")
        self.findings: dict[str, Finding] = {}
        self.own_failures = 0
        self.told = False  # pytest itself says why nothing could be judged
        for path in (*self.files(), self.policy.path):
            if str(path) not in config.args:
                config.args.append(str(path))

    # collection

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if file_path.resolve() != self.policy.path.resolve():
            return None
        collector: pytest.Collector = PolicyFile.from_parent(parent, path=file_path, nodeid=f"harness/{file_path.name}")
        return collector

    def pytest_pycollect_makemodule(self, module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
        if module_path.parent != self.suites:
            return None
        suite: pytest.Module = Suite.from_parent(parent, path=module_path, nodeid=f"harness/{module_path.name}")
        return suite

    def files(self) -> list[Path]:
        """The files of the suites, in the order in which a cause should be named."""
        found = sorted(self.suites.glob("test_*.py"))
        return sorted(found, key=lambda path: ORDER.index(path.name) if path.name in ORDER else len(ORDER))

    @cached_property
    def expected(self) -> dict[str, Finding]:
        """Every finding there must be, by id, as it is if its item never runs."""
        from harness.judging.gates import not_evaluated

        ours = [check for path in self.files() for check in checks.written(path)]
        rules = [not_evaluated(gate, "it did not run") for gate in self.policy.gates]
        return {finding.id: finding for finding in (*ours, *rules)}

    # running

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Nothing runs, and no earlier output is touched, before the candidate has loaded."""
        from harness.errors import UsageError

        try:
            self.inspection.model  # noqa: B018 - waits for the child
            if _controls(self.config):
                self.inspection.claim()
            if _is_controller_of_workers(self.config):
                self.inspection.evidence  # noqa: B018 - swept once, before the workers ask for it
        except UsageError as error:
            self.told = True
            raise pytest.UsageError(str(error)) from error
        began = time.monotonic()
        try:
            return (yield)
        finally:
            spent = self.inspection.seconds
            spent["checks"] = max(time.monotonic() - began - spent.get("sweep", 0.0), 0.0)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["harness_out"] = str(self.inspection.out)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        identity = self._identity(item)
        if identity is not None:
            report.user_properties.append((OURS, identity))
            if call.when == "call" and isinstance(item, pytest.Function):
                finding = checks.found(self.expected[identity], call, report, item.stash.get(SHOWN, ()))
                report.user_properties.append((PROPERTY, json.dumps(asdict(finding))))
                if finding.level == "warning" and report.failed:
                    checks.only_warn(finding, report, item.path)
        return report

    def _identity(self, item: pytest.Item) -> str | None:
        """Which finding this item is of; None for the user's own tests."""
        if isinstance(item, GateItem):
            return f"gate/{item.name}"
        if not isinstance(item, pytest.Function) or item.path.parent != self.suites:
            return None
        identity = f"check/{item.path.name}::{item.originalname}"
        return identity if identity in self.expected else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst that was said of each item, and never what is kinder than pytest's own outcome."""
        facts = dict(report.user_properties)
        if (identity := str(facts.get(OURS))) not in self.expected:
            return
        finding = _reader().validate_json(str(facts[PROPERTY])) if report.when == "call" and PROPERTY in facts else None
        if hasattr(report, "wasxfail"):
            finding = checks.undecided(self.expected[identity], "it was marked as expected to fail")
        elif not report.passed and (finding is None or finding.status == "passed"):
            finding = checks.undecided(self.expected[identity], checks.outcome(report))
        if finding is not None:
            known = self.findings.get(identity, finding)
            self.findings[identity] = max(known, finding, key=lambda one: _KINDEST_FIRST.index(one.status))
            self.own_failures += report.failed and finding.level == "required"

    # the end

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if not _controls(self.config) or exitstatus not in (0, 1, 5):
            return
        from harness.errors import UsageError
        from harness.run.inspection import compose, write
        from harness.run.inspection import session as session_facts

        try:
            found = self.inspection.evidence
            every = [self.findings.get(identity, finding) for identity, finding in self.expected.items()]
            run = compose(found, self.policy, every, _command(self.inspection.request))
            if self.inspection.request.out is not None:
                images = len(found.labels) * len(found.answers)
                write(self.inspection.out, run, session_facts(self.inspection.seconds, images), found)
        except UsageError as error:
            self.inspection.broken = error
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
            return
        self.inspection.run = run
        if session.testsfailed <= self.own_failures:
            session.exitstatus = run.verdict.exit_code

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        run, broken = self.inspection.run, self.inspection.broken
        if broken is not None and not self.told:
            terminalreporter.line(f"ERROR: {broken}", red=True)
        if run is None:
            return
        from harness.judging.verdict import HEADLINES

        terminalreporter.section("harness")
        terminalreporter.line(HEADLINES[run.verdict.word])
        terminalreporter.line(run.verdict.sentence)
        terminalreporter.line(run.verdict.advice)
        if self.inspection.request.out is not None:
            terminalreporter.line(f"report: {self.inspection.out / 'report.html'}")


@cache
def _reader() -> TypeAdapter[Finding]:
    from pydantic import TypeAdapter

    from harness.records import Finding

    return TypeAdapter(Finding)


def _controls(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput")


def _is_controller_of_workers(config: pytest.Config) -> bool:
    return _controls(config) and config.pluginmanager.has_plugin("dsession")


def _command(request: Any) -> str:
    from harness.formatting import command_line

    out = ["--out", str(request.out or "out")]
    if request.own_split:
        return command_line(["harness", "demo", "--data", str(request.data), *out])
    words = ["harness", "run", str(request.model)]
    for flag in ("data", "policy", "baseline", "preprocess"):
        if (value := getattr(request, flag)) is not None:
            words += [f"--{flag}", str(value)]
    strict = ["--require-sandbox"] if request.require_sandbox else []
    strict += ["--allow-code"] if request.allow_code else []
    return command_line([*words, "--seed", str(request.seed), *strict, *out])
