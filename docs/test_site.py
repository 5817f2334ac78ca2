"""The built site in a real browser: accessible in light and dark, wide and narrow, silent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import click
import pytest
from playwright.sync_api import Browser, sync_playwright

from harness.cli import COMMANDS, root
from tests.support.browser import ARGUMENTS, AXE, BROWSER

SITE = Path(os.environ["HARNESS_SITE"])
PAGES = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html") if "_static" not in path.parts)
WIDTHS = (1280, 390)
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
VIOLATIONS = """async () => (await axe.run(
    {exclude: [['code .pre ~ .pre']]},  // the further words of one code, thousands, which look as the first does
    {resultTypes: ['violations']}
)).violations.map(violation => [violation.id, violation.nodes[0].html])"""

in_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium-headless-shell, chromium or chrome here")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(ARGUMENTS))
        yield browser
        browser.close()


@in_browser
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_fits_its_window_and_asks_for_nothing_outside(name: str, browser: Browser) -> None:
    found: list[str] = []
    asked: list[str] = []
    page = browser.new_page(reduced_motion="reduce")
    page.on("request", lambda request: asked.append(request.url))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto((SITE / name).as_uri())
        page.evaluate(AXE)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"{width}: wider than the window")
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            page.wait_for_function("theme => document.documentElement.dataset.theme == theme", arg=theme)
            found += [f"{theme} {width}: {violation}" for violation in page.evaluate(VIOLATIONS)]
    page.close()

    assert found == []
    assert [url for url in asked if not url.startswith(SITE.as_uri())] == []


def test_every_command_stands_in_the_reference_under_its_own_name() -> None:
    page = (SITE / "reference" / "commands.html").read_text("utf-8")
    groups = {name: getattr(root.get_command(click.Context(root), name), "commands", {}) for name in COMMANDS}
    nested = [f"{name} {inner}" for name, commands in groups.items() for inner in commands]

    missing = [name for name in (*COMMANDS, *nested) if f'id="harness-{name.replace(" ", "-")}"' not in page]

    assert missing == []
