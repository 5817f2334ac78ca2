"""docs/reference/errors.md names every line the program refuses something with."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import harness
from tests.support.folders import ROOT

PACKAGE = Path(harness.__file__).parent
PAGE = ROOT / "docs" / "reference" / "errors.md"
FIRST_CELLS = re.findall(r"^\| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
EXPLAINED = [line for cell in FIRST_CELLS for line in re.findall(r"`(.+?)`", cell)]  # what it says, quoted in a table
REFUSALS = {"UsageError", "Rejected", "SubjectFault"}


def parts(node: ast.expr) -> list[str]:
    """The fixed texts of a message."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        return [str(part.value) for part in node.values if isinstance(part, ast.Constant)]
    return [*parts(node.left), *parts(node.right)] if isinstance(node, ast.BinOp) else []


def messages() -> dict[str, list[str]]:
    """Return the place where each message is made, and its fixed texts of more than three characters."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in REFUSALS
                and node.args
            ):
                texts = [text.strip() for text in parts(node.args[0])]
                found[f"{path.relative_to(PACKAGE)}:{node.lineno}"] = [text for text in texts if len(text) > 3]
    return found


def test_every_refusal_is_explained_on_the_page() -> None:
    missing = [
        f"{place}: {' … '.join(texts)}"
        for place, texts in messages().items()
        if not any(all(text in line for text in texts) for line in EXPLAINED)
    ]

    assert missing == [], "add the line, its cause and its remedy"
