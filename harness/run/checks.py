"""Stage 4: the suites, run by pytest in isolation from any other configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.checks.collector import CheckCollector
from harness.checks.fixtures import Context
from harness.files import shipped_folder
from harness.judging.gates import not_evaluated
from harness.records import Finding, Gate
from harness.run.session import Session


def run_checks(session: Session, suite: str = "") -> tuple[Finding, ...]:
    """Run the property and contract checks of the suites, or of one, on the candidate; gives no verdict and writes no
    file.
    """
    import pytest

    collector = collector_of(session)
    suites = collector.suites
    arguments = [
        *("-c", str(suites / "pytest.ini"), "--rootdir", str(suites), "--confcutdir", str(suites)),
        *("--disable-plugin-autoload", "-p", "no:terminal", "-p", "no:cacheprovider"),
        *(["-k", suite.removesuffix(".py")] if suite else []),
        str(suites / "test_normalization.py"),
    ]
    with _without_options_of_the_environment():
        code = int(pytest.main(arguments, plugins=[collector]))
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"pytest ended with code {code} and no findings")
    return tuple(one for one in collector.findings if one.id.startswith(f"check/{suite}"))


def collector_of(session: Session, gates: Sequence[Gate] = ()) -> CheckCollector:
    """Return the plugin that gathers the findings of the suites and, where pytest runs them as items, of the gates."""
    rules = session.policy
    context = Context(session.subject, session.dataset, session.request.own_split, rules.lowered, rules.waivers)
    return CheckCollector(shipped_folder("suites"), context, [not_evaluated(gate, "it did not run") for gate in gates])


@contextmanager
def _without_options_of_the_environment() -> Iterator[None]:
    before = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("PYTEST_")}
    try:
        yield
    finally:
        os.environ.update(before)
