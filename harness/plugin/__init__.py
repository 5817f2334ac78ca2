"""``pytest --harness-model``: the stages of a run with the checks and gates as pytest's own items."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import NO_WINDOWS

if TYPE_CHECKING:
    from harness.run.session import Request


def activate(config: pytest.Config) -> None:
    """Open a session from the options and register its judge. pytest.UsageError where the input cannot be used."""
    if sys.platform == "win32":
        raise pytest.UsageError(NO_WINDOWS)
    if not __debug__ and config.option.assertmode == "plain":
        raise pytest.UsageError("python -O with --assert=plain leaves no assert in the checks; leave out one of them")
    from harness.errors import UsageError
    from harness.plugin.judge import Judge

    try:
        config.pluginmanager.register(Judge(config, _request(config)), "harness-judge")
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


def _request(config: pytest.Config) -> Request:
    from harness.run.session import SEED, Request

    worker = getattr(config, "workerinput", {})
    option = config.option
    out = worker.get("harness_out") or option.harness_out
    return Request(
        model=_model(config, option.harness_model),
        data=option.harness_data,
        policy=_policy(config, option.harness_policy) if option.harness_policy else None,
        out=_from(config, out) if out else None,
        preprocess=option.harness_preprocess,
        require_sandbox=option.harness_require_sandbox,
        allow_code=option.harness_allow_code,
        baseline=tuple(_from(config, path) for path in option.harness_baseline or ()),
        resize=option.harness_resize,
        columns=_from(config, option.harness_columns) if option.harness_columns else None,
        unit=option.harness_unit,
        trained_on=option.harness_trained_on,
        swept="harness_out" in worker,
        today=datetime.now(UTC).date(),
        seed=SEED if option.harness_seed is None else option.harness_seed,
    )


def _model(config: pytest.Config, named: str) -> Path:
    """Return a file or folder, or ``module:function`` where no such file is."""
    path = _from(config, named)
    return path if path.exists() or ":" not in named else Path(named)


def _policy(config: pytest.Config, named: str) -> Path:
    """Return a file, or the name of a shipped policy where no such file is."""
    path = _from(config, named)
    return path if path.is_file() else Path(named)


def _from(config: pytest.Config, path: str) -> Path:
    return config.invocation_params.dir / path
