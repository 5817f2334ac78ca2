"""The report in a real browser: silent, accessible, readable on a telephone, in the dark and on paper."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from harness import report
from tests.support import samples

BROWSER = os.environ.get("HARNESS_CHROMIUM") or next(
    (found for name in ("chromium-headless-shell", "chromium", "chrome") if (found := shutil.which(name))), None
)
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip
PAPER = 703  # pixels between the margins of an A4 page
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
Open = Callable[..., Page]

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium-headless-shell, chromium or chrome on this machine"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Where the report of a sample is; each is rendered once."""
    written: dict[str, Path] = {}

    def at(name: str) -> str:
        if name not in written:
            written[name] = tmp_path_factory.mktemp(name) / "report.html"
            run, evidence = getattr(samples, name)()
            written[name].write_text(report.render(run, evidence, samples.SESSION), "utf-8")
        return written[name].as_uri()

    return at


@pytest.fixture
def show(browser: Browser, address: Callable[[str], str]) -> Iterator[Open]:
    """A sample's report in a window of its own."""
    contexts = []

    def opened(name: str, width: int = 1280, height: int = 800, **settings: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.goto(address(name))
        return page

    yield opened
    for context in contexts:
        context.close()


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


@pytest.mark.parametrize("name", ["usual", "succeeded", "mute", "dead", "hostile"])
def test_the_page_asks_for_nothing_and_says_nothing_to_the_console(
    browser: Browser, address: Callable[[str], str], name: str
) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: said.append(request.url[:100]))

    page.goto(address(name))
    unfold(page)
    page.mouse.wheel(0, 100_000)
    page.wait_for_timeout(200)
    page.close()

    assert [text for text in said if text != address(name) and not text.startswith("data:")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["usual", "succeeded", "mute", "allowed"])
def test_axe_finds_nothing(show: Open, name: str, width: int, scheme: str) -> None:
    page = show(name, width, color_scheme=scheme)
    unfold(page)
    page.evaluate(AXE)

    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")

    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
    assert len(found["passes"]) > 30


@pytest.mark.parametrize("width", [320, 390, 720, 1000, 1280])
@pytest.mark.parametrize("name", ["usual", "succeeded", "mute", "hostile", "dead"])
def test_nothing_scrolls_sideways(show: Open, name: str, width: int) -> None:
    page = show(name, width)
    unfold(page)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert _cut(page) == []


def _cut(page: Page) -> list[str]:
    """What reaches beyond the right edge of the window."""
    script = """[...document.querySelectorAll('main *, header *')]
        .filter(one => !one.closest('.unseen, thead') && one.getBoundingClientRect().right > innerWidth + 1)
        .map(one => one.tagName + ' ' + one.textContent.trim().slice(0, 60))"""
    found: list[str] = page.evaluate(script)
    return found


@pytest.mark.parametrize("name", ["allowed", "blocked", "no_verdict", "usual"])
def test_the_first_screen_answers_the_four_questions(show: Open, name: str) -> None:
    run, _ = getattr(samples, name)()
    page = show(name)

    for selector in ("h1", ".cause", ".advice", ".counts", ".identity", ".tiles li:last-child", "#headline .note"):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 800
    assert run.model.name in page.locator(".identity").inner_text()
    assert run.model.sha256[:10] in page.locator(".identity").inner_text()


def test_a_cell_of_the_matrix_opens_its_gallery_without_javascript(show: Open) -> None:
    page = show("usual", java_script_enabled=False)
    link = page.locator(".matrix td a").last
    gallery = page.locator(link.get_attribute("href") or "")
    assert not gallery.locator("img").first.is_visible()

    link.click()

    assert gallery.locator("img").first.is_visible()
    box = gallery.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 800


@pytest.mark.parametrize("width", [390, 1280])
def test_every_link_leads_to_something_that_can_be_seen(show: Open, width: int) -> None:
    page = show("usual", width)

    script = """[...new Set([...document.querySelectorAll('a[href^="#"]')].map(one => one.getAttribute('href')))]
        .filter(href => {
            location.hash = href;
            const target = document.querySelector(href).getBoundingClientRect();
            return !(target.height > 0 && target.top < innerHeight && target.bottom > 0);
        })"""
    assert page.evaluate(script) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_step_of_heat_has_a_colour_of_its_own(show: Open, scheme: str) -> None:
    page = show("usual", color_scheme=scheme)

    for section, kind in (("confusion", "m"), ("robustness", "h"), ("slices", "h")):
        steps = page.locator(f"#{section} .legend i[class^={kind}]")
        colours = steps.evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")

        assert len(set(colours)) == len(colours) == 5
        assert "rgba(0, 0, 0, 0)" not in colours


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "pages"), [("usual", 6), ("succeeded", 6), ("hopeless", 7), ("mute", 6), ("allowed", 6)]
)
def test_a_few_pages_of_paper_hold_it(show: Open, name: str, pages: int, scheme: str) -> None:
    """Six, and one more for a model that gets nearly everything wrong."""
    printed = show(name, color_scheme=scheme).pdf(prefer_css_page_size=True, print_background=True)

    assert 1 < len(re.findall(rb"/Type\s*/Page\b", printed)) <= pages


@pytest.mark.parametrize("name", ["usual", "succeeded", "hopeless", "mute", "hostile"])
def test_nothing_is_cut_on_paper(show: Open, name: str) -> None:
    page = show(name, PAPER)
    page.emulate_media(media="print")

    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER
    assert _cut(page) == []


def test_the_matrix_is_not_split_between_pages(show: Open) -> None:
    page = show("usual", PAPER)
    page.emulate_media(media="print")

    for selector in (".matrix", ".classes", ".panel", ".gates tr"):
        assert page.locator(selector).first.evaluate("one => getComputedStyle(one).breakInside") == "avoid"
