"""One font family for a browser, whatever else the machine has: the layout has to hold for a wide and a narrow one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from playwright.sync_api import Browser

# What report.css names, and what Chromium asks fontconfig for instead of system-ui ("sans") and sans-serif ("Arial").
REPLACED = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif", "sans", "Arial", "Helvetica")


@dataclass(frozen=True)
class Family:
    name: str
    package: str


FAMILIES = {
    "wide": Family("DejaVu Sans", "fonts-dejavu-core"),
    "narrow": Family("Liberation Sans Narrow", "fonts-liberation, from Debian 13 on fonts-liberation-sans-narrow"),
}


def environment(family: Family, folder: Path) -> dict[str, str]:
    """Write a fontconfig file that gives ``family`` for each of ``REPLACED``; return the variable that names it."""
    rules = "".join(
        f'<match target="pattern"><test name="family"><string>{name}</string></test>'
        f'<edit name="family" mode="assign" binding="strong"><string>{escape(family.name)}</string></edit></match>'
        for name in REPLACED
    )
    system = '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>'
    file = folder / "fonts.conf"
    file.write_text(f'<?xml version="1.0"?><fontconfig>{rules}{system}</fontconfig>', "utf-8")
    return {"FONTCONFIG_FILE": str(file)}


def missing(browser: Browser, family: Family) -> str | None:
    """Return why nothing can be said of ``family``, naming its package, where the browser draws with another one."""
    drawn = used(browser)
    if drawn == {family.name}:
        return None
    return f"drawn with {', '.join(sorted(drawn))}: no {family.name} on this machine ({family.package})"


def used(browser: Browser) -> set[str]:
    """Return the families that the browser draws the generic ones with, as it says itself."""
    page = browser.new_page()
    page.set_content(
        "".join(f'<p style="font-family: {name}">Letters, 0123</p>' for name in ("system-ui", "sans-serif"))
    )
    devtools = page.context.new_cdp_session(page)
    devtools.send("DOM.enable")
    devtools.send("CSS.enable")
    root = devtools.send("DOM.getDocument")["root"]["nodeId"]
    found = devtools.send("DOM.querySelectorAll", {"nodeId": root, "selector": "p"})["nodeIds"]
    answers = [devtools.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"] for node in found]
    page.close()
    return {font["familyName"] for fonts in answers for font in fonts}
