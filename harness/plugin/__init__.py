"""pytest: options, fixtures, one item per gate, findings -> Run. Inert without --harness-model, and light to import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.plugin import fixtures
from harness.plugin.items import INSPECTION
from harness.plugin.judge import Judge

if TYPE_CHECKING:
    from harness.run.inspection import Inspection


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, all prefixed, all inert without --harness-model."""
    group = parser.getgroup("harness", "release gate for digit classifiers")
    group.addoption("--harness-model", metavar="FILE", help="judge this Keras model: run the suites on it")
    group.addoption("--harness-data", metavar="SOURCE", help=".npz, IDX folder, 'keras' or 'embedded'")
    group.addoption("--harness-policy", metavar="FILE", help="TOML policy with the gates")
    group.addoption("--harness-baseline", metavar="RELEASE", help="the last release: model, output folder or file")
    group.addoption("--harness-out", metavar="DIR", help="leave run.json, report.html, junit.xml and evidence here")
    group.addoption("--harness-preprocess", metavar="MODULE", help="module with the candidate's normalize and one_hot")
    group.addoption(
        "--harness-allow-code", action="store_true", help="the model may be MODULE:FUNCTION, run to make it"
    )
    group.addoption("--harness-require-sandbox", action="store_true", help="no run where the sandbox has gaps")
    group.addoption("--harness-seed", type=int, help="seed of the corruptions")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "advisory: a check whose failure is a warning, not a block")
    if config.getoption("--harness-model") is None and _given(config) is None:
        return
    if config.option.collectonly or config.option.version or config.option.help:
        return
    config.pluginmanager.register(Judge(config, _begin(config)), "harness-judge")
    config.pluginmanager.register(fixtures, "harness-fixtures")


def pytest_unconfigure(config: pytest.Config) -> None:
    if (inspection := config.stash.get(INSPECTION, None)) is not None:
        inspection.close()


def _begin(config: pytest.Config) -> Inspection:
    from harness.errors import UsageError
    from harness.run.inspection import Inspection

    given = _given(config)
    try:
        inspection = given.inspection if given else Inspection(_request(config))
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[INSPECTION] = inspection
    return inspection


def _given(config: pytest.Config) -> Given | None:
    return next((plugin for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, Given)), None)


def _request(config: pytest.Config) -> Any:
    from harness.run.inspection import SEED, Request

    worker = getattr(config, "workerinput", {})
    option = config.option
    out = worker.get("harness_out") or option.harness_out
    return Request(
        model=_model(config, option.harness_model),
        data=option.harness_data,
        policy=_from(config, option.harness_policy) if option.harness_policy else None,
        out=_from(config, out) if out else None,
        preprocess=option.harness_preprocess,
        require_sandbox=option.harness_require_sandbox,
        allow_code=option.harness_allow_code,
        baseline=_from(config, option.harness_baseline) if option.harness_baseline else None,
        swept="harness_out" in worker,
        seed=SEED if option.harness_seed is None else option.harness_seed,
    )


def _model(config: pytest.Config, named: str) -> Path:
    """A file or folder, or a ``module:function`` where no such file is."""
    path = _from(config, named)
    return path if path.exists() or ":" not in named else Path(named)


def _from(config: pytest.Config, path: str) -> Path:
    return config.invocation_params.dir / path


class Given:
    """An inspection that is under way already, handed to ``pytest.main`` as a plugin."""

    def __init__(self, inspection: Inspection) -> None:
        self.inspection = inspection
