"""Imports point one way, and what is heavy is imported in one place only."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import harness

PACKAGE = Path(harness.__file__).parent
LAYERS = (  # a part imports from the layers above its own line, and from itself
    {"records", "sandbox"},
    {"formatting"},
    {"errors"},
    {"files", "statistics"},
    {"corruptions", "image_properties", "data"},
    {"references"},
    {"candidate"},
    {"checks"},
    {"evidence"},
    {"metrics"},
    {"policy"},
    {"judging"},
    {"outputs", "report"},
    {"run"},
    {"plugin"},
    {"cli"},
    {"__main__"},
)
ONLY_IN: dict[str, set[str]] = {
    "keras": {"references/models.py", "candidate/child/fork_server.py", "candidate/child/loading.py"},
    "tensorflow": {"candidate/child/attack.py", "candidate/child/loading.py", "candidate/scan/savedmodel.py"},
    "h5py": {"candidate/scan/hdf5.py"},
    "jinja2": {"report/__init__.py"},
    "click": {path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / "cli").glob("*.py")},
    "rich": {"cli/compare.py", "cli/show.py"},
    "pytest": {
        *("checks/collector.py", "checks/findings.py", "checks/fixtures.py", "run/checks.py"),
        *("plugin/__init__.py", "plugin/gates.py", "plugin/judge.py", "plugin/entry/harness_pytest.py"),
    },
    "suites": set(),
    "reports": set(),
    "tests": set(),
}
CONTENT = {PACKAGE / "suites", PACKAGE / "reports"}  # where an installed package keeps what a checkout has beside it
MODULES = {
    path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py") if CONTENT.isdisjoint(path.parents)
}


def imported(name: str) -> set[str]:
    """Dotted names of all imports of a module, wherever they stand in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer(part: str) -> int:
    return next(at for at, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__init__.py"])
def test_a_module_imports_from_its_own_part_or_from_a_layer_before_it(name: str) -> None:
    own = name.removesuffix(".py").partition("/")[0]
    parts = {dotted.split(".")[1] for dotted in imported(name) if dotted.startswith("harness.")}

    wrong = {part for part in parts - {own, "__version__"} if layer(part) >= layer(own)}

    assert not wrong


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_is_imported_only_where_it_belongs(package: str) -> None:
    users = {name for name in MODULES if any(dotted.split(".")[0] == package for dotted in imported(name))}

    assert users <= ONLY_IN[package]


def test_records_need_numpy_and_the_standard_library_only() -> None:
    outside = {dotted.split(".")[0] for dotted in imported("records.py")} - set(sys.stdlib_module_names)

    assert outside == {"numpy"}
