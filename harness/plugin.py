"""pytest: options, fixtures, one item per gate, findings -> Run. Inert without --harness-model, and light to import."""

from __future__ import annotations

import ast
import json
import time
import warnings
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.inspection import Inspection
    from harness.records import Dataset, Finding, Gate, ModelFacts, Status
    from harness.subject import Subject

PROPERTY = "harness_finding"
ORDER = ("test_normalization.py", "test_one_hot.py", "test_contract.py")  # causes before what they cause
_NOTHING_TO_SHOW: tuple[str, ...] = ()
_inspection: pytest.StashKey[Inspection] = pytest.StashKey()


class GateWarning(UserWarning):
    """A gate or check of level "warning" did not pass."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, all prefixed, all inert without --harness-model."""
    group = parser.getgroup("harness", "release gate for digit classifiers")
    group.addoption("--harness-model", metavar="FILE", help="judge this Keras model: run the suites on it")
    group.addoption("--harness-data", metavar="SOURCE", help=".npz, IDX folder, 'keras' or 'embedded'")
    group.addoption("--harness-policy", metavar="FILE", help="TOML policy with the gates")
    group.addoption("--harness-out", metavar="DIR", help="leave run.json, report.html, junit.xml and evidence here")
    group.addoption("--harness-preprocess", metavar="MODULE", help="module with the candidate's normalize and one_hot")
    group.addoption("--harness-seed", type=int, help="seed of the corruptions")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "advisory: a check whose failure is a warning, not a block")
    if config.getoption("--harness-model") is None and _given(config) is None:
        return
    if config.option.collectonly or config.option.version or config.option.help:
        return
    config.pluginmanager.register(Judge(config, _begin(config)), "harness-judge")


def pytest_unconfigure(config: pytest.Config) -> None:
    if (inspection := config.stash.get(_inspection, None)) is not None:
        inspection.close()


def _begin(config: pytest.Config) -> Inspection:
    from harness.inspection import Inspection
    from harness.records import Unusable

    given = _given(config)
    try:
        inspection = given.inspection if given else Inspection(_request(config))
    except Unusable as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[_inspection] = inspection
    return inspection


def _given(config: pytest.Config) -> Given | None:
    return next((plugin for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, Given)), None)


def _request(config: pytest.Config) -> Any:
    from harness.inspection import SEED, Request

    worker = getattr(config, "workerinput", {})
    option = config.option
    out = worker.get("harness_out") or option.harness_out
    return Request(
        model=_from(config, option.harness_model),
        data=option.harness_data,
        policy=_from(config, option.harness_policy) if option.harness_policy else None,
        out=_from(config, out) if out else None,
        preprocess=option.harness_preprocess,
        swept="harness_out" in worker,
        seed=SEED if option.harness_seed is None else option.harness_seed,
    )


def _from(config: pytest.Config, path: str) -> Path:
    return config.invocation_params.dir / path


class Given:
    """An inspection that is under way already, handed to ``pytest.main`` as a plugin."""

    def __init__(self, inspection: Inspection) -> None:
        self.inspection = inspection


class Judge:
    """Collects suites and gates, gathers what they find, and gives the verdict at the end."""

    def __init__(self, config: pytest.Config, inspection: Inspection) -> None:
        from harness.resources import folder

        assert inspection.policy is not None
        self.config = config
        self.inspection = inspection
        self.policy = inspection.policy
        self.suites = folder("suites")
        self.findings: dict[str, Finding] = {}
        self.others_failed = False
        for path in (*self.checks(), self.policy.path):
            if str(path) not in config.args:
                config.args.append(str(path))

    # collection

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if file_path.resolve() != self.policy.path.resolve():
            return None
        collector: pytest.Collector = PolicyFile.from_parent(parent, path=file_path)
        return collector

    def checks(self) -> list[Path]:
        """The files of the suites, in the order in which a cause should be named."""
        found = sorted(self.suites.glob("test_*.py"))
        return sorted(found, key=lambda path: ORDER.index(path.name) if path.name in ORDER else len(ORDER))

    def expected(self) -> dict[str, str]:
        """Every finding there must be, with its title: id -> title."""
        from harness.words import title

        checks = {}
        for path in self.checks():
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    checks[f"check/{path.name}::{node.name}"] = _sentence(node.name)
        return checks | {f"gate/{gate.id}": title(gate.metric, gate.scope) for gate in self.policy.gates}

    # running

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Nothing runs, and no earlier output is touched, before the candidate has loaded."""
        from harness.inspection import withdraw
        from harness.records import Unusable

        try:
            self.inspection.model  # noqa: B018 - waits for the child
            if _controls(self.config):
                withdraw(self.inspection.out)
            if _is_controller_of_workers(self.config):
                self.inspection.evidence  # noqa: B018 - swept once, before the workers ask for it
        except Unusable as error:
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
        if call.when == "call" and item.path.parent == self.suites and isinstance(item, pytest.Function):
            finding = _check_finding(item, call, report)
            if finding.level == "warning" and finding.status == "failed":
                report.outcome, report.longrepr = "passed", None
                warnings.warn_explicit(GateWarning(finding.reason), None, str(item.path), 1)
            report.user_properties.append((PROPERTY, json.dumps(asdict(finding))))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = dict(report.user_properties).get(PROPERTY)
        if found is None and report.when == "call" and not self._ours(report):
            self.others_failed |= report.failed
        if found is not None and report.when == "call":
            finding = _decoded(str(found))
            if hasattr(report, "wasxfail"):
                finding = _undecided(finding.id, finding.title, "it was marked as expected to fail")
            self.findings[finding.id] = finding
        elif report.when != "call" and not report.passed:
            if not self._ours(report):
                self.others_failed |= report.failed
                return
            why = "was skipped" if report.skipped else f"broke in its {report.when}"
            identity = self._identity(report.nodeid)
            text = report.longreprtext.strip().splitlines()
            detail = f": {text[-1]}" if text else ""
            self.findings[identity] = _undecided(identity, self.expected().get(identity, identity), why + detail)

    def _ours(self, report: pytest.TestReport) -> bool:
        return self._identity(report.nodeid) in self.expected()

    def _identity(self, nodeid: str) -> str:
        file, _, name = nodeid.partition("::")
        kind = "gate/" if file.endswith(self.policy.path.name) else f"check/{Path(file).name}::"
        return kind + name

    # the end

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if not _controls(self.config) or exitstatus not in (0, 1, 5):
            return
        from harness.inspection import compose, write
        from harness.inspection import session as session_facts

        expected = self.expected()
        every = [
            self.findings.get(identity) or _undecided(identity, title, "did not run")
            for identity, title in expected.items()
        ]
        run = compose(self.inspection.evidence, self.policy, every, _command(self.inspection.request))
        self.inspection.run = run
        if self.inspection.request.out is not None:
            images = len(self.inspection.evidence.labels) * len(self.inspection.evidence.answers)
            write(self.inspection.out, run, session_facts(self.inspection.seconds, images), self.inspection.evidence)
        if not self.others_failed:
            session.exitstatus = run.verdict.exit_code

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        run = self.inspection.run
        if run is None:
            return
        from harness.verdict import HEADLINES

        terminalreporter.section("harness")
        terminalreporter.line(HEADLINES[run.verdict.word])
        terminalreporter.line(run.verdict.sentence)
        terminalreporter.line(run.verdict.advice)
        if self.inspection.request.out is not None:
            terminalreporter.line(f"report: {self.inspection.out / 'report.html'}")

    # what the suites ask for

    @pytest.fixture(scope="session", name="subject")
    def _subject(self) -> Subject:
        """The candidate, in a process of its own."""
        return self.inspection.subject

    @pytest.fixture(scope="session", name="dataset")
    def _dataset(self) -> Dataset:
        """The labelled digits the candidate is judged on."""
        return self.inspection.dataset

    @pytest.fixture(scope="session", name="candidate")
    def _candidate(self) -> ModelFacts:
        """What the loaded model says of itself."""
        return self.inspection.model

    @pytest.fixture(scope="session", name="own_split")
    def _own_split(self) -> bool:
        """Whether we trained the candidate ourselves, on the training part of this very data."""
        return self.inspection.request.own_split


class PolicyFile(pytest.File):
    """A policy: one item per gate."""

    def collect(self) -> Iterator[GateItem]:
        policy = self.config.stash[_inspection].policy
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
        from harness.records import Unusable

        try:
            finding = self.config.stash[_inspection].gates[self.gate.id]
        except Unusable as error:
            pytest.exit(str(error), pytest.ExitCode.USAGE_ERROR)
        self.user_properties.append((PROPERTY, json.dumps(asdict(finding))))
        if finding.status == "passed":
            return
        if finding.level == "warning":
            self.warn(GateWarning(finding.reason))
            return
        raise GateNotPassed(f"{finding.status.replace('_', ' ')}: {finding.reason}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, GateNotPassed):
            return f"{excinfo.value}\n{self.gate.file}:{self.gate.line}: because {self.gate.because}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.gate.line - 1, f"gate: {self.name}"


def _check_finding(item: pytest.Function, call: pytest.CallInfo[None], report: pytest.TestReport) -> Finding:
    from harness.records import CannotTell, Finding, NothingToMeasure
    from harness.subject import Refused, SubjectFault
    from harness.words import one_line

    identity, title = f"check/{item.path.name}::{item.name}", _sentence(item.originalname)
    because = one_line((item.function.__doc__ or "").strip(), 300)
    level = "warning" if item.get_closest_marker("advisory") else "required"
    line = item.function.__code__.co_firstlineno
    where = f"{item.path.name}:{line}"
    status: Status = "passed"
    reason, exhibits = f"{title}: holds", _NOTHING_TO_SHOW
    if report.skipped or call.excinfo is not None:
        error = call.excinfo.value if call.excinfo else None
        text = one_line(_first_line(error), 400)
        match error:
            case CannotTell():
                status, reason = "inconclusive", text
            case AssertionError() | SubjectFault() | Refused():
                status, reason, exhibits = "failed", f"{title}: {text}", _exhibits(call)
            case NothingToMeasure():
                status, reason = "not_evaluated", f"{title} was not evaluated: {text}"
            case _:
                why = "was skipped" if report.skipped else f"broke ({type(error).__name__})"
                status, reason = "not_evaluated", f"{title} {why}: {text}"
    return Finding(identity, "check", title, status, reason, level, because, where, exhibits=exhibits)  # type: ignore[arg-type]


def _first_line(error: BaseException | None) -> str:
    if isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _exhibits(call: pytest.CallInfo[None]) -> tuple[str, ...]:
    """The images of the failing example: what the local name ``images`` held where the check failed."""
    import base64

    import numpy as np

    assert call.excinfo is not None
    for entry in reversed(call.excinfo.traceback):
        images = entry.frame.f_locals.get("images")
        if isinstance(images, np.ndarray) and images.shape[1:] == (28, 28) and images.dtype == np.uint8:
            return tuple(base64.b64encode(image.tobytes()).decode() for image in images[:4])
    return ()


def _undecided(identity: str, title: str, why: str) -> Finding:
    from harness.records import Finding
    from harness.words import one_line

    kind = "gate" if identity.startswith("gate/") else "check"
    return Finding(identity, kind, title, "not_evaluated", one_line(f"{title} was not evaluated: it {why}", 400))  # type: ignore[arg-type]


def _decoded(text: str) -> Finding:
    from pydantic import TypeAdapter

    from harness.records import Finding

    return TypeAdapter(Finding).validate_json(text)


def _sentence(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")


def _controls(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput")


def _is_controller_of_workers(config: pytest.Config) -> bool:
    return _controls(config) and config.pluginmanager.has_plugin("dsession")


def _command(request: Any) -> str:
    import shlex

    words = ["harness", "run", str(request.model)]
    for flag in ("data", "policy", "preprocess"):
        if (value := getattr(request, flag)) is not None:
            words += [f"--{flag}", str(value)]
    return shlex.join([*words, "--seed", str(request.seed), "--out", str(request.out or "out")])
