"""What pytest collects: a policy's gates as items, the suites as modules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.records import Gate, Images
    from harness.run.inspection import Inspection

PROPERTY = "harness_finding"  # on a report: what was found, as JSON
INSPECTION: pytest.StashKey[Inspection] = pytest.StashKey()
SHOWN: pytest.StashKey[Sequence[Images]] = pytest.StashKey()  # on an item: pictures that its check hands out


class GateWarning(UserWarning):
    """A gate or check of level "warning" did not pass."""


class Suite(pytest.Module):
    """A suite, imported by its path whatever the user's import mode: a module of its name may be among their tests.

    It holds the fixtures it asks for, since a user's conftest may have others of the same names.
    """

    def _getobj(self) -> Any:
        from harness.plugin import fixtures

        mode = self.config.option.importmode
        self.config.option.importmode = "importlib"
        try:
            module = super()._getobj()  # type: ignore[no-untyped-call]
        finally:
            self.config.option.importmode = mode
        for name in ("subject", "dataset", "candidate", "own_split", "show"):
            setattr(module, name, getattr(fixtures, name))
        return module


class PolicyFile(pytest.File):
    """A policy: one item per gate."""

    def collect(self) -> Iterator[GateItem]:
        policy = self.config.stash[INSPECTION].policy
        assert policy is not None
        for gate in policy.gates:
            yield GateItem.from_parent(self, name=gate.id, gate=gate)


class GateNotPassed(Exception):
    """A required gate did not pass."""


class GateItem(pytest.Item):
    """One gate, held against the evidence."""

    def __init__(self, *, gate: Gate, **rest: Any) -> None:
        super().__init__(**rest)
        self.gate = gate

    def runtest(self) -> None:
        from harness.errors import UsageError

        try:
            finding = self.config.stash[INSPECTION].gates[self.gate.id]
        except UsageError as error:
            pytest.exit(str(error), pytest.ExitCode.USAGE_ERROR)
        self.user_properties.append((PROPERTY, json.dumps(asdict(finding))))
        if finding.status == "passed":
            return
        if finding.level == "warning":
            self.warn(GateWarning(finding.reason))
            return
        raise GateNotPassed(f"{finding.status.replace('_', ' ')}: {finding.reason}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, (GateNotPassed, GateWarning)):
            return f"{excinfo.value}\n{self.gate.file}:{self.gate.line}: because {self.gate.because}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.gate.line - 1, f"gate: {self.name}"
