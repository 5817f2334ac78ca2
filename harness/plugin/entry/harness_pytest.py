"""pytest's entry point: options, all inert without --harness-model.

Installed as a module of its own beside the package, which it imports only while a model is judged: a repository may
have a ``harness.py`` or a folder ``harness`` of its own, which its tests must find under that name.
"""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, all prefixed."""
    group = parser.getgroup("harness", "release gate for digit classifiers")
    group.addoption("--harness-model", metavar="FILE", help="judge this Keras model: run the suites on it")
    group.addoption("--harness-data", metavar="SOURCE", help=".npz, CSV, folder ..., 'keras' or 'embedded'")
    group.addoption("--harness-resize", action="store_true", help="scale the images of a folder to 28 x 28")
    group.addoption("--harness-columns", metavar="FILE", help="CSV with a row a test image: its units and slices")
    group.addoption("--harness-unit", metavar="NAME", help="the column that was drawn at random, or 'none'")
    group.addoption("--harness-trained-on", metavar="SOURCE", help="declare the digits that the model was trained on")
    group.addoption("--harness-policy", metavar="FILE", help="TOML policy with the gates")
    accepted = "the last release: model, output folder or file; again for other accepted runs of its recipe"
    group.addoption("--harness-baseline", metavar="RELEASE", action="append", help=accepted)
    group.addoption("--harness-out", metavar="DIR", help="leave run.json, report.html, junit.xml and evidence here")
    fed = "what the candidate is fed with: unit, raw, symmetric, standardised, inverted, l2, or a module of yours"
    group.addoption("--harness-preprocess", metavar="KIND|MODULE", help=fed)
    group.addoption(
        "--harness-allow-code", action="store_true", help="the model may be MODULE:FUNCTION, run to make it"
    )
    group.addoption("--harness-require-sandbox", action="store_true", help="no run where the sandbox has gaps")
    group.addoption("--harness-no-verdict-is-failure", action="store_true", help="exit code 1 in place of 5")
    group.addoption("--harness-seed", type=int, help="seed of the corruptions")


def pytest_configure(config: pytest.Config) -> None:
    """Register the judge where a model is given; one line where another package is in its way."""
    if config.option.harness_model is None:
        return
    if config.option.collectonly or config.option.version or config.option.help:
        return
    if other := _shadow():
        raise pytest.UsageError(
            f"{other} shadows the installed package harness, which --harness-model needs; rename it, or leave out "
            "--harness-model here and use the command harness run"
        )
    from harness.plugin import activate

    activate(config)


def _shadow() -> str:
    """Return the file that Python would import as harness in place of the installed package; empty if there is none."""
    here = Path(__file__).resolve()
    spec = util.find_spec("harness")
    origin = Path(spec.origin).resolve() if spec and spec.origin else None
    installed, checkout = here.parent / "harness" / "__init__.py", here.parents[2] / "__init__.py"
    return "" if origin in (installed, checkout) else str(origin or "another package of that name")
