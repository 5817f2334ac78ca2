"""The plugin that is active while ``pytest --harness-model`` runs: collects the gates, judges, reports the verdict."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.checks.collector import FINDING_ID
from harness.plugin.gates import GateItem, PolicyFile

if TYPE_CHECKING:
    from harness.metrics import Evaluation
    from harness.records import Finding, Run
    from harness.run.session import Request, Session


class Judge:
    """Holds the session open for as long as pytest runs."""

    def __init__(self, config: pytest.Config, request: Request) -> None:
        from harness.run.checks import collector_of
        from harness.run.session import open_session

        self.config = config
        self._stack = ExitStack()
        self.session: Session = self._stack.enter_context(open_session(request))
        self.collector = collector_of(self.session, self.session.policy.gates)
        self._run: Run | None = None
        self._deselected = 0
        self._error = ""  # why there is no verdict, where pytest itself does not say so

    def close(self) -> None:
        """End the candidate's process and release the output folder."""
        self._stack.close()

    @cached_property
    def judged(self) -> tuple[Evaluation, Mapping[str, Finding]]:
        """Measure and judge every gate of the policy at the first use, which comes after the checks; by gate id."""
        from harness.run.judge import judge_gates
        from harness.run.measure import measure

        evaluation, findings = judge_gates(self.session, measure(self.session))
        return evaluation, {finding.gate.id: finding for finding in findings if finding.gate is not None}

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the checks and add the policy to what is collected."""
        config.pluginmanager.register(self.collector, "harness-checks")
        if (path := str(self.session.policy.path)) not in config.args:
            config.args.append(path)

    def pytest_unconfigure(self) -> None:
        """Close the session."""
        self.close()

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect the policy's gates."""
        if file_path.resolve() != self.session.policy.path.resolve():
            return None
        collector = PolicyFile.from_parent(parent, path=file_path, nodeid=f"harness/{file_path.name}")
        collector.gates, collector.finding = self.session.policy.gates, lambda name: self.judged[1][name]
        return collector

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Let nothing run, and no earlier output be touched, before the candidate has loaded."""
        from harness.errors import UsageError
        from harness.run.session import claim

        try:
            if _is_controller(self.config):
                self._stack.enter_context(claim(self.session))
                if self.config.pluginmanager.has_plugin("dsession"):
                    _ = self.judged  # measured before the workers read the evidence
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error
        with self.session.stopwatch.part("checks"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Measure before the first gate begins, outside of what other plugins limit and time as that gate's."""
        from harness.errors import UsageError

        if isinstance(item, GateItem):
            with suppress(UsageError):  # which the gate tells
                _ = self.judged
        return (yield)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count what will not run of the harness."""
        self._deselected += sum(FINDING_ID in item.stash for item in items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand the output folder to a worker of xdist."""
        node.workerinput["harness_out"] = str(self.session.out)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Build and write the run."""
        if not _is_controller(self.config) or exitstatus not in (0, 1, 5):
            return
        from harness.errors import UsageError
        from harness.run.judge import finish

        try:
            self._run = finish(self.session, self.judged[0], self.collector.findings).run
        except UsageError as error:
            self._error = str(error)
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
            return
        if session.testsfailed <= self.collector.own_failures:
            session.exitstatus = self._run.verdict.exit_code
        if (
            session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
            and self.config.option.harness_no_verdict_is_failure
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the verdict."""
        if self._error:
            terminalreporter.line(f"ERROR: {self._error}", red=True)
        if self._run is None:
            return
        from harness.formatting import count
        from harness.run.result import verdict_lines

        terminalreporter.section("harness")
        for line in verdict_lines(self._run):
            terminalreporter.line(line)
        if self._deselected:
            terminalreporter.line(
                f"{count(self._deselected, 'item')} of the harness were deselected (-k, -m, --lf, pytest-split): "
                "run all in one session for a verdict"
            )
        if self.session.request.out is not None:
            terminalreporter.line(f"report: {self.session.out / 'report.html'}")


def _is_controller(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput")
