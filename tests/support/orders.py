"""Texts that a build's log must not obey, and the rule by which GitHub, Azure and TeamCity read a log."""

from __future__ import annotations

import re

_GITHUB = (
    "error::x",
    "warning file=a,line=1::x",
    "add-mask::keras",
    "set-output name=v::allowed",
    "stop-commands::t",
)
_AZURE = (
    "##vso[task.complete result=Succeeded;]done",
    "##vso[task.setvariable variable=A]b",
    "##VSO[task.logissue]",
)
ORDERS = (
    *(f"::{text}" for text in _GITHUB),
    *(f" \t::{text}" for text in _GITHUB),
    *(f"bad\n::{text}" for text in _GITHUB),
    *(f"bad\r::{text}" for text in _GITHUB[:2]),
    *_AZURE,
    *(f"value {text}" for text in _AZURE),
    "##[error]x", "a ##[set-output name=verdict;]allowed", "###[command]x", "##\x00[error]x", "#\ufe0f#[error]x",
    "##teamcity[buildStatus status='SUCCESS']", "\u2028::error::x",
)  # fmt: skip


def obeyed(log: str) -> list[str]:
    """The lines that a runner takes for orders, where it passes over marks as a search by Unicode's rules does."""
    lines = re.sub("[\u034f\u00ad\u200b-\u200f\u2060\ufe00-\ufe0f]", "", log).splitlines()
    return [line for line in lines if line.lstrip().startswith("::") or "##" in line]
