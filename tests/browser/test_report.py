"""The report in a real browser: silent, accessible, readable on a telephone, in the dark and on paper."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from harness import report
from tests.support import fonts, pages, samples
from tests.support.browser import ARGUMENTS, AXE, BROWSER
from tests.support.folders import once

FAMILIES = ["wide", "narrow"]
PAPER = 703  # pixels between the margins of an A4 page
Open = Callable[..., Page]
BESIDE = {"index": pages.index, "compared": pages.compared, "history": pages.history}

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium-headless-shell, chromium or chrome on this machine"
)


@pytest.fixture(scope="module")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Browser]]:
    """A browser for each kind of font: "own" has what this machine shows, "wide" and "narrow" one family alone."""
    started: dict[str, tuple[Browser, str | None]] = {}
    with sync_playwright() as playwright:

        def start(kind: str) -> tuple[Browser, str | None]:
            if kind == "own":
                return playwright.chromium.launch(executable_path=BROWSER, args=list(ARGUMENTS)), None
            family = fonts.FAMILIES[kind]
            chosen = fonts.environment(family, tmp_path_factory.mktemp(kind))
            variables: dict[str, str | float | bool] = {**os.environ, **chosen}
            browser = playwright.chromium.launch(executable_path=BROWSER, args=list(ARGUMENTS), env=variables)
            return browser, fonts.missing(browser, family)

        def with_font(kind: str) -> Browser:
            if kind not in started:
                started[kind] = start(kind)
            browser, missing = started[kind]
            if missing is not None:
                pytest.skip(missing)
            return browser

        yield with_font
        for browser, _ in started.values():
            browser.close()


@pytest.fixture(scope="module")
def browser(browsers: Callable[[str], Browser]) -> Browser:
    return browsers("own")


@pytest.fixture(scope="module")
def address(shared: Path) -> Callable[[str], str]:
    """Return the address of a sample's report; each is rendered once."""

    def at(name: str) -> str:
        def render(draft: Path) -> None:
            if name in BESIDE:
                html = BESIDE[name]()
            else:
                run, evidence = getattr(samples, name)()
                html = report.render(run, evidence, samples.SESSION)
            draft.write_text(html, "utf-8")

        return once(shared, f"{name}.html", render).as_uri()

    return at


@pytest.fixture
def show(browsers: Callable[[str], Browser], address: Callable[[str], str]) -> Iterator[Open]:
    """A sample's report in a window of its own; ``text``: the size that the reader has set, in percent."""
    contexts = []

    def opened(
        name: str, width: int = 1280, height: int = 800, font: str = "own", text: int = 100, **settings: Any
    ) -> Page:
        context = browsers(font).new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        page = context.new_page()
        if text != 100:
            sizes = {"standard": 16 * text // 100, "fixed": 13 * text // 100}
            context.new_cdp_session(page).send("Page.setFontSizes", {"fontSizes": sizes})
        page.goto(address(name))
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def unfolded(browsers: Callable[[str], Browser], address: Callable[[str], str]) -> Iterator[Open]:
    """A sample's report with everything unfolded, in a window that the tests of one font share."""
    opened: dict[tuple[str, str], Page] = {}

    def resized(name: str, width: int, *, font: str = "own", scheme: Any = "light") -> Page:
        if (name, font) not in opened:
            opened[name, font] = browsers(font).new_page()
            opened[name, font].goto(address(name))
            unfold(opened[name, font])
        page = opened[name, font]
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        return page

    yield resized
    for page in opened.values():
        page.close()


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


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
@pytest.mark.parametrize("name", ["usual", "succeeded", "mute", "allowed", "by_writer", "index", "compared", "history"])
def test_axe_finds_nothing(unfolded: Open, name: str, width: int, scheme: str) -> None:
    """Each width in one scheme: no rule looks at both."""
    page = unfolded(name, width, scheme=scheme)
    page.evaluate(AXE)

    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")

    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
    assert len(found["passes"]) > 20


def test_axe_finds_nothing_where_tables_scroll(show: Open) -> None:
    """Without the rule on contrast, which is more lenient to large text and takes most of the time."""
    page = show("usual", 320, font="wide", text=200)
    unfold(page)
    page.evaluate(AXE)

    rules = "{'color-contrast': {enabled: false}}"
    found = page.evaluate(f"axe.run(document, {{resultTypes: ['violations'], rules: {rules}}})")

    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []


@pytest.mark.parametrize(
    ("font", "width"),
    [*(("wide", width) for width in (320, 390, 720, 1000, 1280)), *(("narrow", width) for width in (320, 1000, 1280))],
)
@pytest.mark.parametrize("name", ["usual", "succeeded", "mute", "hostile", "dead", "index", "compared", "history"])
def test_nothing_scrolls_sideways(unfolded: Open, name: str, width: int, font: str) -> None:
    _holds(unfolded(name, width, font=font), width)


@pytest.mark.parametrize("font", FAMILIES)
@pytest.mark.parametrize(
    ("name", "width"), [("usual", 320), ("succeeded", 320), ("mute", 320), ("by_writer", 320), ("succeeded", 1280)]
)
def test_nothing_scrolls_sideways_in_text_of_twice_the_size(show: Open, name: str, width: int, font: str) -> None:
    usual = show(name, width, font=font).locator("h2").last.bounding_box()
    page = show(name, width, font=font, text=200)
    large = page.locator("h2").last.bounding_box()
    unfold(page)

    assert usual is not None
    assert large is not None
    assert large["height"] == pytest.approx(2 * usual["height"], rel=0.05)  # the setting reaches the page
    _holds(page, width)


@pytest.mark.parametrize("font", FAMILIES)
def test_a_table_that_is_too_wide_is_moved_by_key(show: Open, font: str) -> None:
    page = show("succeeded", 320, font=font, text=200)
    table = page.get_by_role("region", name="Digit by digit")

    table.focus()
    page.keyboard.press("End")
    for _ in range(40):
        page.keyboard.press("ArrowRight")

    page.wait_for_function("document.activeElement.scrollLeft > 100")
    assert page.evaluate("scrollX") == 0


def _holds(page: Page, width: int) -> None:
    """Check that the page is no wider than the window, that nothing is cut and no text leaves its place."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert _cut(page) == []
    assert _astray(page) == []


def _cut(page: Page) -> list[str]:
    """List elements beyond the right edge of the window that cannot be reached by scrolling a table."""
    script = """[...document.querySelectorAll('main *, header *, nav *')]
        .filter(one => !one.closest('.unseen, thead'))
        .filter(one => {
            const around = one.parentElement.closest('.scroll');
            return !around || getComputedStyle(around).overflowX === 'visible';
        })
        .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
        .map(one => one.tagName + ' ' + one.textContent.trim().slice(0, 60))"""
    found: list[str] = page.evaluate(script)
    return found


def _astray(page: Page) -> list[str]:
    """Texts that leave the cell, tile or paragraph they stand in; tables wider than a place that does not scroll."""
    script = """() => {
        const found = [];
        const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            const text = texts.currentNode, parent = text.parentElement;
            if (!text.data.trim() || !parent.checkVisibility()) continue;
            if (parent.closest('.unseen, .skip, svg, thead')) continue;
            const place = parent.closest('td, th, li, dd, dt, caption, p, pre, summary, h1, h2, h3, h4, .banner, div');
            const box = place.getBoundingClientRect(), range = document.createRange();
            range.selectNodeContents(text);
            for (const line of range.getClientRects())
                if (line.width && (line.right > box.right + 1 || line.left < box.left - 1)) {
                    found.push(place.tagName + ' ' + text.data.trim().slice(0, 60));
                    break;
                }
        }
        for (const one of document.querySelectorAll('.scroll'))
            if (getComputedStyle(one).overflowX === 'visible' && one.scrollWidth > one.clientWidth + 1)
                found.push('table ' + one.ariaLabel);
        return found;
    }"""
    found: list[str] = page.evaluate(script)
    return found


@pytest.mark.parametrize("font", FAMILIES)
@pytest.mark.parametrize("name", ["allowed", "blocked", "no_verdict", "usual"])
def test_the_first_screen_answers_the_four_questions(show: Open, name: str, font: str) -> None:
    run, _ = getattr(samples, name)()
    page = show(name, font=font)

    for selector in ("h1", ".cause", ".advice", ".counts", ".identity", ".tiles li:last-child", "#headline .note"):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 800
    assert run.model.name in page.locator(".identity").inner_text()
    assert run.model.sha256[:10] in page.locator(".identity").inner_text()


@pytest.mark.parametrize("font", FAMILIES)
@pytest.mark.parametrize("name", ["allowed", "usual", "succeeded", "by_writer"])
def test_the_confusion_matrix_stands_whole_on_the_first_screen(show: Open, name: str, font: str) -> None:
    matrix = show(name, 1280, 900, font=font).locator("#confusion .scroll")

    box = matrix.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 900
    assert matrix.evaluate("one => one.scrollWidth <= one.clientWidth")


def test_an_allowed_release_shows_a_line_a_rule_that_opens_without_javascript(show: Open) -> None:
    page = show("allowed", java_script_enabled=False)
    rule = page.locator(".family").filter(has_text="Recall of each digit")
    shown = page.locator(".family, #gates tr, #checks").filter(visible=True)
    assert shown.count() <= 15
    assert "10 of 10; tightest: Recall of 8" in rule.inner_text()

    rule.locator("summary").click()

    assert rule.locator("tbody tr").filter(visible=True).count() == 10
    assert "share of the images of a digit that are answered with it" in rule.inner_text()


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


@pytest.mark.parametrize(("font", "scheme"), [("wide", "light"), ("narrow", "dark")])
@pytest.mark.parametrize(
    ("name", "pages"), [("usual", 6), ("succeeded", 7), ("hopeless", 7), ("mute", 6), ("allowed", 6)]
)
def test_a_few_pages_of_paper_hold_it(show: Open, name: str, pages: int, font: str, scheme: str) -> None:
    """Six, and one more for a model that gets nearly everything wrong."""
    printed = show(name, font=font, color_scheme=scheme).pdf(prefer_css_page_size=True, print_background=True)

    assert 1 < len(re.findall(rb"/Type\s*/Page\b", printed)) <= pages


@pytest.mark.parametrize(("font", "text"), [("wide", 100), ("narrow", 100), ("wide", 200)])
@pytest.mark.parametrize("name", ["usual", "succeeded", "hopeless", "mute", "hostile"])
def test_nothing_is_cut_on_paper(show: Open, name: str, font: str, text: int) -> None:
    page = show(name, PAPER, font=font, text=text)
    page.emulate_media(media="print")

    _holds(page, PAPER)


def test_the_matrix_is_not_split_between_pages(show: Open) -> None:
    page = show("usual", PAPER)
    page.emulate_media(media="print")

    for selector in (".matrix", ".classes", ".panel", ".gates tr"):
        assert page.locator(selector).first.evaluate("one => getComputedStyle(one).breakInside") == "avoid"


POLICY_OF_JENKINS = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self';"


@pytest.fixture(scope="module")
def bare(browser: Browser, address: Callable[[str], str]) -> Iterator[Page]:
    """The report as Jenkins serves it: without its style and its pictures."""
    content = Path(address("blocked").removeprefix("file://")).read_bytes()
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY_OF_JENKINS}
    page.route("**/*", lambda route: route.fulfill(body=content, headers=headers))
    page.goto("http://report.test/")
    yield page
    page.close()


def test_without_style_and_pictures_verdict_cause_and_table_come_first_and_are_words(bare: Page) -> None:
    text = bare.inner_text("main")
    gate = bare.inner_text(".gates tbody tr:first-child")

    assert bare.evaluate("getComputedStyle(document.body).display") == "block"  # no style was applied
    assert text.index("Blocked") < text.index("required checks failed") < text.index("Gates not passed")
    assert re.search(r"Precision of 8 Beyond .*\s87.25.% 80.50 to 92.29.%, n = 102\s", gate), gate


def test_without_style_no_drawing_is_larger_than_with_it(bare: Page) -> None:
    sizes = bare.evaluate("[...document.querySelectorAll('svg')].map(one => one.getBoundingClientRect().width)")

    assert max(sizes) <= 280
