"""A policy as pytest collects it: one item per gate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.checks.collector import FINDING_ID, FINDING_PROPERTY
from harness.checks.findings import GateWarning, waived

if TYPE_CHECKING:
    from harness.records import Finding, Gate


class PolicyFile(pytest.File):
    """Collect one item per gate of the policy."""

    gates: Sequence[Gate]
    finding: Callable[[str], Finding]  # of the gate with this id

    def collect(self) -> Iterator[GateItem]:
        """Collect an item for each gate."""
        for gate in self.gates:
            yield GateItem.from_parent(self, name=gate.id, gate=gate, finding=self.finding)


class GateNotPassed(Exception):
    """A required gate did not pass."""


class GateItem(pytest.Item):
    """Hold one gate against the evidence."""

    def __init__(self, *, gate: Gate, finding: Callable[[str], Finding], **rest: Any) -> None:
        super().__init__(**rest)
        self.gate, self._finding = gate, finding
        self.stash[FINDING_ID] = f"gate/{gate.id}"
        # what reporters and sorters ask of every item, as if there were test functions only
        self.obj = self.function = self.runtest
        self.fixturenames: list[str] = []
        self.originalname, self.cls, self.module = self.name, None, None

    def runtest(self) -> None:
        """Fail where the gate failed."""
        from harness.errors import UsageError

        try:
            finding = self._finding(self.gate.id)
        except UsageError as error:
            pytest.exit(str(error), pytest.ExitCode.USAGE_ERROR)
        self.user_properties.append((FINDING_PROPERTY, json.dumps(asdict(finding))))
        if finding.status == "passed":
            return
        if finding.waived:
            pytest.skip(waived(finding))
        if finding.level == "warning":
            self.warn(GateWarning(finding.reason))
            return
        raise GateNotPassed(f"{finding.status.replace('_', ' ')}: {finding.reason}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Describe the failure in the gate's words."""
        if isinstance(excinfo.value, (GateNotPassed, GateWarning)):
            return f"{excinfo.value}\n{self.gate.file}:{self.gate.line}: because {self.gate.because}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Locate the gate in the policy."""
        return self.path, self.gate.line - 1, f"gate: {self.name}"
