"""The tutorial's notebook executed, and the report in the frame that it shows, in a real browser."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient
from playwright.sync_api import sync_playwright

import harness
from harness.run.finished_run import FinishedRun
from tests.support import samples
from tests.support.browser import ARGUMENTS, BROWSER
from tests.support.folders import ROOT

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium-headless-shell, chromium or chrome here")


def test_the_frame_shows_every_image_and_follows_the_links_of_the_report() -> None:
    result = harness.Result(FinishedRun(*samples.blocked(), samples.SESSION), None).show(height=600)
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        page.on("console", lambda message: said.append(message.text))
        page.set_content(f"<!DOCTYPE html><title>notebook</title>{result._repr_html_()}")
        frame = page.frames[1]
        frame.wait_for_selector("h1, h2")
        images = frame.locator("img")
        widths = [images.nth(at).evaluate("image => image.naturalWidth") for at in range(images.count())]
        frame.locator('a[href="#mistakes"]').first.click()
        page.wait_for_timeout(300)
        top = frame.locator("#mistakes").evaluate("section => section.getBoundingClientRect().top")
        browser.close()

    assert len(widths) > 10
    assert min(widths) > 0
    assert -5 < top < 600
    assert not [text for text in said if "Not allowed" in text or "Refused" in text]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Run the tutorial's notebook and return the HTML that its cells show."""
    notebook = nbformat.read(ROOT / "docs" / "tutorial" / "notebook.ipynb", as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]


def test_the_notebook_of_the_tutorial_shows_numbers_verdict_and_report(shown: list[str]) -> None:
    numbers, verdict, report = shown

    assert "<td>accuracy</td>" in numbers
    assert "Blocked" in verdict
    assert "accuracy under fog" in verdict
    assert report.startswith("<iframe")


def test_the_links_of_a_shown_report_lead_somewhere_and_no_request_leaves(shown: list[str]) -> None:
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        page.set_content(f"<!DOCTYPE html><title>notebook</title>{''.join(shown)}")
        frame = page.frames[1]
        frame.wait_for_selector("h1, h2")
        links = frame.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
        dead = [link for link in links if not link.startswith("#") or frame.locator(link).count() != 1]
        browser.close()

    assert len(links) > 5
    assert dead == []
    assert [url for url in asked if not url.startswith(("about:", "data:"))] == []
