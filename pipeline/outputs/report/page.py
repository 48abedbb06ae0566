"""A page that needs nothing but itself: style, script, data and imagery in one file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipeline.outputs.atomic import write_atomically

_ASSETS = files("pipeline.outputs.report") / "assets"
_REPORT = ("decode.js", "dom.js", "charts.js", "map.js", "view.js", "tables.js", "report.js")
_SUMMARY = ("dom.js", "charts.js", "summary.js")
_REGION = ("dom.js", "charts.js", "region.js")


def write_report_page(path: Path, *, title: str, data: Mapping[str, Any]) -> None:
    """Write the report of one scene.

    Raises:
        ExportError: The file could not be written.
    """
    _write(path, render(title=title, data=data, body="report.html", scripts=_REPORT))


def write_summary_page(path: Path, *, title: str, data: Mapping[str, Any]) -> None:
    """Write the summary of several scenes.

    Raises:
        ExportError: The file could not be written.
    """
    _write(path, render(title=title, data=data, body="summary.html", scripts=_SUMMARY))


def write_region_page(path: Path, *, title: str, data: Mapping[str, Any]) -> None:
    """Write the report of a region.

    Raises:
        ExportError: The file could not be written.
    """
    _write(path, render(title=title, data=data, body="region.html", scripts=_REGION))


def render(*, title: str, data: Mapping[str, Any], body: str, scripts: tuple[str, ...]) -> str:
    """Return a page that may load nothing, and run and be styled by nothing but its own.

    The policy names the digests of script and style: what data might smuggle in would
    not run. Data is JSON in which ``<`` is escaped, so that no text ends its element.
    """
    style = _asset("style.css")
    parts = "\n".join(_asset(name) for name in scripts)
    script = f'(() => {{\n"use strict";\n{parts}\n}})();\n'
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="referrer" content="no-referrer">',
            '<link rel="icon" href="data:,">',
            f"<title>{html.escape(title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            _asset(body),
            f'<script type="application/json" id="data">{text}</script>',
            f"<script>{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _write(path: Path, text: str) -> None:
    with write_atomically(path) as part:
        part.write_text(text, encoding="utf-8")


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
