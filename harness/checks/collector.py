"""A pytest plugin that collects the suites and gathers one finding from each check, whatever becomes of it."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from dataclasses import asdict
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.checks import findings, fixtures
from harness.checks.fixtures import CONTEXT, SHOWN, Context

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from harness.records import Finding, InputContract

FINDING_ID: pytest.StashKey[str] = pytest.StashKey()  # on an item of ours: the id of its finding
ID_PROPERTY = "harness_id"  # on a report: the same
FINDING_PROPERTY = "harness_finding"  # on a report: the finding, as JSON
ORDER = ("test_normalization.py", "test_one_hot.py", "test_contract.py")  # causes before what they cause
_KINDEST_FIRST = ("passed", "inconclusive", "not_evaluated", "failed")


class Suite(pytest.Module):
    """A suite, imported by its path whatever the user's import mode: a module of its name may be among their tests.

    It holds the fixtures it asks for, since a user's conftest may have others of the same names.
    """

    def funcnamefilter(self, name: str) -> bool:
        """Take the checks by their own names, whatever the user's tests are called."""
        return name.startswith("test_")

    def _getobj(self) -> Any:
        mode = self.config.option.importmode
        self.config.option.importmode = "importlib"
        try:
            module = super()._getobj()  # type: ignore[no-untyped-call]
        finally:
            self.config.option.importmode = mode
        for name in fixtures.NAMES:
            setattr(module, name, getattr(fixtures, name))
        return module


class CheckCollector:
    """Collect the suites and keep the worst that pytest reports of each item of ours."""

    def __init__(self, suites: Path, context: Context, others: Iterable[Finding] = ()) -> None:
        """Expect every check in the folder, and ``others``: findings as they are if their items never run."""
        self.suites = suites
        self.own_failures = 0  # items of required findings that pytest counts as failed
        self._context = context
        self._files = sorted(self.suites.glob("test_*.py"), key=_place)
        self._others = tuple(others)
        self._reported: dict[str, Finding] = {}

    @cached_property
    def _expected(self) -> dict[str, Finding]:
        """Return the findings as they are if their items never run; the loaded candidate says which there are."""
        known, fed = self._context, self._context.subject.contract
        asked = [one for path in self._files for one in findings.written(path) if not _why_not_asked(fed, one.id)]
        checks = [findings.worded(one, fed).ruled(known.lowered, known.waivers) for one in asked]
        return {finding.id: finding for finding in (*checks, *self._others)}

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Return every expected finding, as it was reported or as it is if its item never ran."""
        return tuple(self._reported.get(name, finding) for name, finding in self._expected.items())

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register marks and fixtures, and add the suites to what is collected."""
        config.addinivalue_line("markers", "advisory: a check whose failure is a warning, not a block")
        config.stash[CONTEXT] = self._context
        config.pluginmanager.register(fixtures, "harness-fixtures")
        config.args += [str(path) for path in self._files if str(path) not in config.args]

    def pytest_pycollect_makemodule(self, module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
        """Collect the modules of the suites."""
        if module_path.parent != self.suites:
            return None
        suite: pytest.Module = Suite.from_parent(parent, path=module_path, nodeid=f"harness/{module_path.name}")
        return suite

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Note a check when it is collected."""
        if isinstance(item, pytest.Function) and item.path.parent == self.suites:
            item.stash[FINDING_ID] = f"check/{item.path.name}::{item.originalname}"

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a check that has nothing to ask; it has no finding."""
        identity = item.stash.get(FINDING_ID, "")
        if identity.startswith("check/") and (why := _why_not_asked(self._context.subject.contract, identity)):
            pytest.skip(why)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the finding of a check to its report."""
        report = yield
        identity = item.stash.get(FINDING_ID, "")
        if identity in self._expected:
            report.user_properties.append((ID_PROPERTY, identity))
            if call.when == "call" and isinstance(item, pytest.Function):
                finding = findings.found(self._expected[identity], call, report, item.stash.get(SHOWN, ()))
                report.user_properties.append((FINDING_PROPERTY, json.dumps(asdict(finding))))
                if finding.level == "warning" and report.failed:
                    findings.only_warn(finding, report, item.path)
                if finding.waived:
                    findings.set_aside(finding, report, item.path)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst that was reported of each item, and never what is kinder than pytest's own outcome."""
        facts = dict(report.user_properties)
        if (identity := str(facts.get(ID_PROPERTY))) not in self._expected:
            return
        given = report.when == "call" and FINDING_PROPERTY in facts
        finding = _reader().validate_json(str(facts[FINDING_PROPERTY])) if given else None
        if hasattr(report, "wasxfail"):
            finding = findings.undecided(self._expected[identity], "it was marked as expected to fail")
        elif not report.passed and (finding is None or finding.status == "passed"):
            finding = findings.undecided(self._expected[identity], findings.outcome(report))
        if finding is not None:
            known = self._reported.get(identity, finding)
            self._reported[identity] = max(known, finding, key=lambda one: _KINDEST_FIRST.index(one.status))
            self.own_failures += report.failed and finding.level == "required"


def _why_not_asked(fed: InputContract, identity: str) -> str:
    from harness.checks import contract

    suite, _, check = identity.removeprefix("check/").partition("::")
    return contract.why_not_asked(fed, suite, check)


def _place(path: Path) -> tuple[int, str]:
    return (ORDER.index(path.name) if path.name in ORDER else len(ORDER)), path.name


@cache
def _reader() -> TypeAdapter[Finding]:
    from pydantic import TypeAdapter

    from harness.records import Finding

    return TypeAdapter(Finding)
