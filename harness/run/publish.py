"""A run shown by the system that runs the job: GitHub, GitLab or Azure, told by its variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.files import write_named
from harness.outputs import azure, github, gitlab, openmetrics
from harness.records import Run
from harness.report import markdown


def publish(run: Run, out: Path, code: int, environ: Mapping[str, str]) -> list[str]:
    """Write the files that the system takes, and return the orders for its log, a line each.

    ``code``: exit code of the command. None where no system is there.
    """
    report, orders = out / "report.html", []
    if environ.get("GITHUB_ACTIONS"):
        root = Path(environ.get("GITHUB_WORKSPACE") or ".")
        orders += github.issues(run, root)
        outputs = github.step_outputs(run, report, code)
        lines = "".join(f"{name}={text}\n" for name, text in outputs.items())
        orders += _appended(environ.get("GITHUB_STEP_SUMMARY"), markdown.render(run))
        orders += _appended(environ.get("GITHUB_OUTPUT"), lines)
    if environ.get("GITLAB_CI"):
        write_named(out / "metrics.txt", openmetrics.render(run).encode())
        write_named(out / "gitlab.json", gitlab.links(report, environ).encode())
    if environ.get("TF_BUILD"):
        write_named(out / "summary.md", markdown.render(run).encode())
        root = Path(environ.get("BUILD_SOURCESDIRECTORY") or ".")
        orders += [*azure.issues(run, root), azure.summary(out / "summary.md")]
    return orders


def _appended(file: str | None, text: str) -> list[str]:
    """Append to a file that GitHub names; returns what to say where that cannot be."""
    if not file:
        return []
    try:
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        return [github.order("warning", f"harness cannot write {file}: {error.strerror}")]
    return []
