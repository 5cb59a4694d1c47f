"""Text for a page: what a notebook calls a text, and what a terminal would show."""

from __future__ import annotations

import json
import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from olrunbook.pages.clean import PRIVATE

if TYPE_CHECKING:
    from jinja2 import Environment

MINUTE_S = 60
MOST = 1_000_000  # characters of one output; a page must open on any machine

_SGR = re.compile(r"\x1b\[([\d;]*)m")
# Every other order to a terminal: cursor, title, hyperlink.
_ORDERS = re.compile(
    r"""\x1b(?:\[[0-?]*[ -/]*[@-ln-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?
        |[()\#][0-9A-Za-z]|[=>78cDEHMNOZ])""",
    re.VERBOSE,
)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@cache
def templates(package: str) -> Environment:
    """Return the templates of a package: escaped, and strict about what is missing."""
    import jinja2  # noqa: PLC0415  (heavy)

    return jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def took(value: float | None) -> str:
    """Return seconds as a person reads them: `0.4 s`, `3 min 10 s`; None: nothing."""
    if value is None or round(value, 1) < MINUTE_S:
        return "" if value is None else f"{value:.1f} s"
    minutes, rest = divmod(round(value), MINUTE_S)
    return f"{minutes} min {rest:02d} s"


def as_text(value: Any) -> str:
    """Return what a notebook calls a text: a string, its lines, or any JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    try:
        return json.dumps(value, indent=1, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        return "(nested too deeply to be shown)"


def as_dict(value: Any) -> dict[str, Any]:
    """Return a dict; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return a list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def terminal(text: str) -> tuple[str, str]:
    """Return a terminal's text as HTML with its colours, and what was left out."""
    note = ""
    if len(text) > MOST:
        note = f"{len(text) - MOST} characters left out: see notebook.ipynb."
        text = text[:MOST]
    parts, state = [], ""
    pieces = _SGR.split(_orders(text))
    for at, piece in enumerate(pieces):
        if at % 2:
            state = _colour(piece, state)
        elif piece:
            shown = escape(CONTROLS.sub("", piece), quote=False)
            parts.append(f'<span class="{state}">{shown}</span>' if state else shown)
    return "".join(parts).rstrip("\n"), note


def _orders(text: str) -> str:
    text = _ORDERS.sub("", text.replace("\r\n", "\n"))
    if "\r" not in text:
        return text
    # A progress bar: what stands on a line last is what was read.
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def plain(text: str) -> str:
    """Return a terminal's text without colours and other orders; not escaped."""
    return CONTROLS.sub("", _SGR.sub("", _orders(text)))


def _colour(codes: str, state: str) -> str:
    """Return the classes after an order that sets colours."""
    found = dict.fromkeys(state.split())
    numbers = [int(code or 0) for code in codes.split(";") if len(code) < 4]  # noqa: PLR2004
    while numbers:
        number = numbers.pop(0)
        if number in (38, 48):  # of 256 or of all: the page has eight
            del numbers[: {5: 2, 2: 4}.get(numbers[0] if numbers else 0, 0)]
        elif number == 0:
            found = {}
        elif number == 1:
            found[f"{PRIVATE}bold"] = None
        elif 30 <= number <= 37 or 90 <= number <= 97 or number == 39:  # noqa: PLR2004
            found = {name: None for name in found if name == f"{PRIVATE}bold"}
            if number != 39:  # noqa: PLR2004
                found[f"{PRIVATE}c{number % 10}"] = None
        elif number == 22:  # noqa: PLR2004
            found.pop(f"{PRIVATE}bold", None)
    return " ".join(found)
