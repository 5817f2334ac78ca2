"""Imports point one way, and what is heavy is imported in one place only."""

from __future__ import annotations

import ast
import sys
from functools import cache
from graphlib import TopologicalSorter
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
    "keras": {
        "references/models.py",
        "candidate/child/fork_server.py",
        "candidate/child/keras_files.py",
        "candidate/child/loading.py",
    },
    "tensorflow": {
        f"candidate/{name}.py"
        for name in ("child/attack", "child/batches", "child/loading", "child/tflite", "scan/savedmodel")
    },
    "h5py": {"candidate/scan/hdf5.py"},
    "jinja2": {"report/__init__.py"},
    "click": {path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / "cli").glob("*.py")},
    "mlflow": {"outputs/mlflow_client.py"},
    "rich": {"cli/show.py"},
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
    """Dotted names of all imports of a module, wherever they stand in it, but those for the type checker alone."""
    return names_imported(MODULES[name])


@cache
def names_imported(path: Path) -> set[str]:
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        waiting += ast.iter_child_nodes(node)
    return found


def layer(part: str) -> int:
    return next(at for at, parts in enumerate(LAYERS) if part in parts)


def test_modules_import_from_their_own_part_or_from_a_layer_before_it() -> None:
    wrong = []
    for name in MODULES.keys() - {"__init__.py"}:
        own = name.removesuffix(".py").partition("/")[0]
        parts = {dotted.split(".")[1] for dotted in imported(name) if dotted.startswith("harness.")}
        wrong += [f"{name}: {part}" for part in parts - {own, "__version__"} if layer(part) >= layer(own)]

    assert wrong == []


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_is_imported_only_where_it_belongs(package: str) -> None:
    users = {name for name in MODULES if any(dotted.split(".")[0] == package for dotted in imported(name))}

    assert users <= ONLY_IN[package]


def test_records_need_numpy_and_the_standard_library_only() -> None:
    outside = {dotted.split(".")[0] for dotted in imported("records.py")} - set(sys.stdlib_module_names)

    assert outside == {"numpy"}


FILES = {
    ".".join(["harness", *name.removesuffix(".py").removesuffix("__init__").split("/")]).rstrip("."): name
    for name in MODULES
}
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def modules_of(names: set[str]) -> set[str]:
    """The files that dotted names lead to: modules, or the modules that hold the names."""
    found = set()
    for name in names:
        while name and name not in FILES:
            name = name.rpartition(".")[0]
        found.add(name)
    return found - {""}


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph = {module: modules_of(imported(name)) - {module} for module, name in FILES.items()}

    assert len(list(TopologicalSorter(graph).static_order())) >= len(FILES)


@pytest.mark.parametrize("side", ["child", "protocol", "scan", "mutation"])
def test_what_runs_with_a_candidate_knows_nothing_of_the_parent(side: str) -> None:
    own = {module for module in FILES if module.startswith(f"harness.candidate.{side}")}
    met = {other for module in own for other in modules_of(imported(FILES[module])) - own}
    own_rooms = ("harness.candidate.protocol", "harness.candidate.scan", "harness.candidate.mutation")
    allowed = {"child": (*own_rooms, "harness.sandbox")}

    assert own
    assert [name for name in met if not name.startswith((*allowed.get(side, ()), "harness.formatting"))] == []


def test_rooms_and_the_arrows_between_them_are_few() -> None:
    rooms = {name.removesuffix(".py").partition("/")[0] for name in MODULES} - {"__init__", "__main__"} | {"benchmarks"}
    users = [(name.removesuffix(".py").partition("/")[0], imported(name)) for name in MODULES]
    users += [("benchmarks", names_imported(path)) for path in BENCHMARKS.glob("*.py")]
    arrows = {(room, name.split(".")[1]) for room, names in users for name in names if name.startswith("harness.")}

    assert len(rooms) <= 22
    assert len({(room, other) for room, other in arrows if {room, other} <= rooms and room != other}) <= 105
