"""The report in the frame that a notebook shows, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import sync_playwright

import harness
from harness.run.finished_run import FinishedRun
from tests.browser.test_report import ARGUMENTS, BROWSER
from tests.support import samples

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium-headless-shell, chromium or chrome here")


def test_the_frame_shows_every_image_and_follows_the_links_of_the_report() -> None:
    shown = harness.Result(FinishedRun(*samples.blocked(), samples.SESSION), None).show(height=600)
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        page.on("console", lambda message: said.append(message.text))
        page.set_content(f"<!DOCTYPE html><title>notebook</title>{shown._repr_html_()}")
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
