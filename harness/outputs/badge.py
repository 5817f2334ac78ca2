"""A verdict as a badge: an SVG picture, or JSON for shields.io. Of a run it shows the verdict's word alone."""

from __future__ import annotations

import json

from harness.records import Run, Word

LABEL = "release gate"
_WORDS: dict[Word, tuple[str, str, int]] = {  # text, colour, width of the text in pixels at 11 px
    "allowed": ("allowed", "116329", 42),
    "allowed_with_warnings": ("allowed with warnings", "7d4e00", 122),
    "blocked": ("blocked", "a40e26", 43),
    "no_verdict": ("no verdict", "3b4a5e", 55),
}
_LABEL_WIDTH = 68
_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" aria-label="{label}: {text}">
<title>{label}: {text}</title>
<rect width="{whole}" height="20" rx="3" fill="#444"/>
<path fill="#{color}" d="M{left} 0h{edge}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="6" y="14" textLength="{label_width}">{label}</text>
<text x="{start}" y="14" textLength="{width}">{text}</text>
</g>
</svg>
"""


def svg(run: Run) -> str:
    """Draw the badge as SVG."""
    text, color, width = _WORDS[run.verdict.word]
    left = _LABEL_WIDTH + 12
    sizes = {"whole": left + width + 12, "left": left, "edge": width + 9, "start": left + 6, "width": width}
    return _SVG.format(label=LABEL, label_width=_LABEL_WIDTH, text=text, color=color, **sizes)


def endpoint(run: Run) -> str:
    """Write the JSON that shields.io draws a badge from."""
    text, color, _ = _WORDS[run.verdict.word]
    shown = {"schemaVersion": 1, "label": LABEL, "message": text, "color": color}
    shown |= {"isError": run.verdict.exit_code != 0, "cacheSeconds": 300}
    return f"{json.dumps(shown)}\n"
