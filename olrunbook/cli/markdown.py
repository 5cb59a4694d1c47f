"""A run as Markdown for a pull request: tables, and the logs folded."""

from __future__ import annotations

import html
import re
from pathlib import Path

from olrunbook.cli.summary import Summary

MARKS = {"succeeded": "✅", "waiting": "⏳"}
LOG_LINES = 60
LOG_CHARS = 8_000
LIMIT = 60_000  # GitHub takes 65,536 characters
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)")


def markdown(told: Summary, when: str, folder: Path) -> str:
    """Return a run as Markdown; the ends of its logs are read from its directory."""
    mark = MARKS.get(told.title.rpartition(" · ")[2], "❌")
    parts = [f"### {mark} {_cell(told.title)}", "", _cell(when), ""]
    parts += ["| | |", "|---|---|"]
    parts += [f"| {name} | {_cell(text)} |" for name, text in told.lines]
    for title, rows in (("step", told.steps), ("part", told.parts)):
        if rows:
            parts += ["", f"| {title} | status | time | result |", "|---|---|--:|---|"]
            parts += [
                f"| {sign} {_cell(name)} | {status} | {took} | {_cell(text)} |"
                for sign, name, status, took, text in rows
            ]
    text = "\n".join(parts) + "\n"
    for name, size in told.files:
        log = _log(folder, name, size) if name.endswith(".log") else ""
        text += log if len(text) + len(log) < LIMIT else ""
    return text


def _log(folder: Path, name: str, size: str) -> str:
    """Return the end of a log, folded."""
    try:
        raw = (folder / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = _ESCAPES.sub("", raw).splitlines()
    end = "\n".join(lines[-LOG_LINES:])[-LOG_CHARS:]
    if not end:
        return ""
    # The fence is longer than any in the log, or the log would end it.
    fence = "`" * (max(map(len, re.findall("`+", end)), default=0) + 3)
    which = f", the last {LOG_LINES} lines" if len(lines) > LOG_LINES else ""
    head = f"<details><summary>{html.escape(name)} ({size}{which})</summary>"
    return f"\n{head}\n\n{fence}text\n{end}\n{fence}\n\n</details>\n"


def _cell(text: str) -> str:
    """Return a text that stays in its cell, formats nothing and calls nobody."""
    safe = html.escape(" ".join(text.split()), quote=False)
    safe = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", safe)
    return safe.replace("@", "@<!-- -->")
