"""A view as HTML (self-contained, escaped, no script) and as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import zip_longest
from typing import Any

from olrunbook.display.view import LONG_WORD, Table, View
from olrunbook.pages.text import templates

WIDTH = 110
NARROWEST = 12
LINES = ("br", "caption", "div", "li", "p", "pre", "tr")


def html(view: View, *, folded: bool = False) -> str:
    """Return a view as HTML; folded, it opens on a click, without a script."""
    page = templates("olrunbook.display").get_template("view.html.j2")
    return page.render(view=view, folded=folded)


def text(view: View) -> str:
    """Return a view as text, about as wide as a terminal."""
    parts = [view.banner] if view.banner else []
    word = view.cell.plain.strip()
    parts.append(f"{word}  {view.heading}" if word else view.heading)
    parts += [words] if (words := _words(view.html)) else []
    parts += [_table(table.narrow) for table in view.tables if table.rows]
    parts += [
        textwrap.indent(note.text, "  ") if note.code else _wrapped(note.text)
        for note in view.notes
    ]
    if view.by_hand:
        parts.append("Without olrunbook:\n" + textwrap.indent(view.by_hand, "  "))
    return "\n\n".join(parts)


def bundle(view: View, *, folded: bool = False) -> dict[str, Any]:
    """Return a view as Jupyter wants it, with the text for those who see no HTML."""
    return {"text/html": html(view, folded=folded), "text/plain": text(view)}


class _Words(HTMLParser):
    """The words of HTML: a line for each row and paragraph."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Part words as they are parted to the eye."""
        del attrs
        if tag in LINES:
            self.text += "\n"
        elif tag in ("td", "th"):
            self.text += "  "

    def handle_data(self, data: str) -> None:
        """Take words."""
        self.text += data if data.strip() else ""


def _words(source: str) -> str:
    """Return HTML as lines of text."""
    lines = (line.strip() for line in _Words(source).text.splitlines())
    return "\n".join(line for line in lines if line)


def _wrapped(line: str) -> str:
    return textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)


def _table(table: Table) -> str:
    """Return a table as lines; a field that is too wide goes over several."""
    head = [list(table.columns)] if any(table.columns) else []
    rows = [[cell.plain for cell in row] for row in table.rows]
    numbers = {at for row in table.rows for at, cell in enumerate(row) if cell.number}
    widths = [
        max(len(line) for row in [*head, *rows] for line in ["", *row[at].splitlines()])
        for at in range(len(table.columns))
    ]
    if not widths:
        return table.caption
    least = [max([NARROWEST, *_ids(table, at)]) for at in range(len(widths))]
    while sum(widths) + 2 * len(widths) > WIDTH:
        room = [w if w > low else 0 for w, low in zip(widths, least, strict=True)]
        if not any(room):
            break
        widths[room.index(max(room))] -= 1
    lines = [table.caption] if table.caption else []
    lines += [line for row in head for line in _row(row, widths, numbers)]
    if head:
        lines.append("  ".join("─" * width for width in widths))
    lines += [line for row in rows for line in _row(row, widths, numbers)]
    return "\n".join(lines)


def _ids(table: Table, at: int) -> Iterator[int]:
    """Yield the lengths of a column's ids: whoever copies one wants it in one piece."""
    for row in table.rows:
        words = row[at].plain.split() if row[at].code else []
        yield from (len(word) for word in words if len(word) <= LONG_WORD)


def _row(row: list[str], widths: list[int], numbers: set[int]) -> list[str]:
    columns = []
    for value, width in zip(row, widths, strict=True):
        lines = [
            part
            for line in value.splitlines()
            for part in textwrap.wrap(line, width) or [""]
        ]
        columns.append(lines or [""])
    out = []
    for fields in zip_longest(*columns, fillvalue=""):
        padded = [
            value.rjust(width) if column in numbers else value.ljust(width)
            for column, (value, width) in enumerate(zip(fields, widths, strict=True))
        ]
        out.append("  ".join(padded).rstrip())
    return out
