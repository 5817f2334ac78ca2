"""GitLab: the link from a job to its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from harness.formatting import one_line


def links(report: Path, environ: Mapping[str, str]) -> str:
    """Write the annotations file: a link from the job to its report; empty where the job has no address."""
    address = environ.get("CI_JOB_URL", "")
    root = Path(environ.get("CI_PROJECT_DIR") or ".").resolve()
    if not address or not report.resolve().is_relative_to(root):
        return json.dumps({})
    url = f"{address}/artifacts/file/{report.resolve().relative_to(root).as_posix()}"
    return json.dumps({"Model report": [{"external_link": {"label": "Model report", "url": one_line(url, 2000)}}]})
