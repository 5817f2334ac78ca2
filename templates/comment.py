"""The comment on a pull request, made by the first run and edited by later ones. action.yml runs it.

A comment is no part of the decision: where GitHub refuses it, as to a fork, whose token only reads, that is a warning.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from harness.outputs.github import order

_A_PAGE = 100  # comments, the most that GitHub gives at once


def put(environ: Mapping[str, str], text: str) -> None:
    """Write ``text`` into the comment of this model, or into a new one. OSError or ValueError where GitHub refuses."""
    key = f"<!-- harness:{sha256(environ['MODEL'].encode()).hexdigest()[:12]} -->"
    issues = f"{environ['GITHUB_API_URL']}/repos/{environ['GITHUB_REPOSITORY']}/issues"
    of_this = f"{issues}/{environ['NUMBER']}/comments"
    known = _known(environ["GH_TOKEN"], of_this, key)
    method, url = ("POST", of_this) if known is None else ("PATCH", f"{issues}/comments/{known}")
    _answer(environ["GH_TOKEN"], method, url, {"body": f"{key}\n{text}"})


def _known(token: str, comments: str, key: str) -> int | None:
    """Return the number of a bot's comment that begins with ``key``; None without one."""
    for page in count(1):
        found = _answer(token, "GET", f"{comments}?per_page={_A_PAGE}&page={page}")
        for one in found:
            if (one.get("user") or {}).get("type") == "Bot" and (one.get("body") or "").startswith(key):
                return int(one["id"])
        if len(found) < _A_PAGE:
            return None
    return None


def _answer(token: str, method: str, url: str, content: object = None) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
    data = None if content is None else json.dumps(content).encode()
    with urlopen(Request(url, data, headers, method=method), timeout=60) as response:
        return json.load(response)


if __name__ == "__main__":
    try:
        put(os.environ, Path(sys.argv[1]).read_text("utf-8"))
    except (OSError, ValueError) as error:
        print(order("warning", f"no comment on the pull request: {error}; the summary of the job has the same"))
