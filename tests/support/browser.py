"""The browser that pages are tried in, and axe, which looks for what keeps people out."""

from __future__ import annotations

import os
import shutil
from importlib import resources

BROWSER = os.environ.get("HARNESS_CHROMIUM") or next(
    (found for name in ("chromium-headless-shell", "chromium", "chrome") if (found := shutil.which(name))), None
)
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
