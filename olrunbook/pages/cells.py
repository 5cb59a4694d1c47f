"""The cells of a notebook as the page shows them: text made safe, outputs chosen."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from html import escape, unescape
from typing import Any, Literal
from urllib.parse import unquote

from olrunbook.pages.clean import clean_html
from olrunbook.pages.text import CONTROLS, as_dict, as_list, as_text, plain, terminal
from olrunbook.pages.widgets import WIDGET, models_of, unfolded

INSIDE = "in an Output widget, at the end of the run"
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
SCRIPTS = ("application/javascript", "text/javascript")
BANNER = "papermill-error-cell-tag"  # papermill's own news, which is not to be believed
TAGS = {
    "parameters": "parameters: defaults",
    "injected-parameters": "parameters of this run",
}
# Above this an output is shown as text: a page must open on any machine.
MOST_HTML = 2_000_000

TONES = {
    **dict.fromkeys(("done", "kept", "succeeded", "approved"), "ok"),
    **dict.fromkeys(("waiting", "interrupted", "running"), "warn"),
    "not-run": "muted",
    **dict.fromkeys(("failed", "refused", "rejected"), "bad"),
    **dict.fromkeys(("timed-out", "kernel-died"), "bad"),
}

# What IPython says where an object has no words of its own.
_NAMELESS = re.compile(r"<[\w.]+ object>")
_ATTACHED = re.compile(r'src="attachment:([^"]*)"')
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*+")

Kind = Literal["stream", "error", "html", "text", "image"]


@dataclass(frozen=True, slots=True)
class Output:
    """One output as the page shows it."""

    kind: Kind  # how it is laid out
    html: str  # its content: safe HTML, or the address of an image
    label: str = ""  # what it is, where the look alone does not say it
    note: str = ""  # what was left out of it
    alt: str = ""  # what an image shows, in words
    inside: bool = False  # it stands in an Output widget

    @property
    def lines(self) -> int:
        """How many lines of text it has."""
        return self.html.count("\n") + 1


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell as the page shows it."""

    number: int  # its place in the notebook, from 1, as causes name it
    kind: str  # `markdown`, `code` or `raw`
    html: str = ""  # a Markdown cell's text as safe HTML
    source: str = ""  # a code cell's source
    status: str = ""  # how it ended; empty where nobody said
    cause: str = ""  # why it did not end well
    label: str = ""  # what its tag says it is
    seconds: float | None = None
    count: int | None = None  # the kernel's number of the execution
    outputs: tuple[Output, ...] = ()  # what it put out

    @property
    def ran(self) -> bool:
        """Whether it ran at all, as far as anybody said."""
        return self.status != "not-run"


def tone(status: str) -> str:
    """Return how a status is to be taken: ok, warn, bad or muted."""
    return TONES.get(status, "muted")


def cells_of(notebook: dict[str, Any]) -> list[Cell]:
    """Return a notebook's cells, of `{}` none; what is damaged is shown as text."""
    models = models_of(notebook)
    return [
        _cell(number, cell, models)
        for number, cell in enumerate(as_list(as_dict(notebook).get("cells")), 1)
        if BANNER not in as_list(as_dict(as_dict(cell).get("metadata")).get("tags"))
    ]


def _cell(number: int, damaged: Any, models: dict[str, Any]) -> Cell:
    cell = as_dict(damaged)
    meta, kind = as_dict(cell.get("metadata")), cell.get("cell_type")
    source = as_text(cell.get("source", "" if cell else damaged))
    if kind == "markdown":
        attached = as_dict(cell.get("attachments"))
        return Cell(number, "markdown", html=_markdown(source, attached))
    if kind != "code":
        return Cell(number, "raw", source=plain(source))
    ours, theirs = as_dict(meta.get("olrunbook")), as_dict(meta.get("papermill"))
    tags = [tag for tag in as_list(meta.get("tags")) if isinstance(tag, str)]
    took = ours.get("seconds", theirs.get("duration"))
    count = cell.get("execution_count")
    return Cell(
        number,
        "code",
        source=plain(source).rstrip("\n"),
        status=as_text(ours.get("status", "")),
        cause=plain(as_text(ours.get("cause", ""))),
        label=next((TAGS[tag] for tag in tags if tag in TAGS), ""),
        seconds=took if isinstance(took, int | float) else None,
        count=count if isinstance(count, int) else None,
        outputs=tuple(_all(as_list(cell.get("outputs")), models)),
    )


def _all(outputs: list[Any], models: dict[str, Any]) -> Iterator[Output]:
    """Yield a cell's outputs, and where a widget is shown what stands in it."""
    for inside, group in unfolded(outputs, models):
        if inside:
            yield Output("text", "", label=INSIDE, inside=True)
        for output in _outputs(group):
            yield replace(output, inside=inside)


def _outputs(outputs: list[Any]) -> Iterator[Output]:
    pieces: list[str] = []
    stream = ""
    for output in [*map(as_dict, outputs), {}]:
        kind, name = output.get("output_type"), as_text(output.get("name", ""))
        if stream and (kind != "stream" or name != stream):
            html, note = terminal("".join(pieces))
            if html:
                label = "" if stream == "stdout" else stream
                yield Output("stream", html, label=label, note=note)
            stream, pieces = "", []
        if kind == "stream":
            stream = name or "stdout"
            pieces.append(as_text(output.get("text", "")))
        elif kind == "error":
            lines = [as_text(line) for line in as_list(output.get("traceback"))]
            named = f"{as_text(output.get('ename', ''))}: "
            text = "\n".join(lines) or named + as_text(output.get("evalue", ""))
            yield Output("error", escape(plain(text), quote=False))
        elif output:
            data = as_dict(output.get("data"))
            yield _shown(data) if data else _as_plain(as_text(output))


def _shown(data: dict[str, Any]) -> Output:
    """Return the richest form of an output that is safe and says something."""
    note = ""
    if "text/html" in data and WIDGET not in data:
        html, note = _html(as_text(data["text/html"]))
        if html:
            return Output("html", html, note=note)
    elif any(mime in data for mime in SCRIPTS):
        note = "Left out of this page: 1 script."
    if "text/markdown" in data:
        return Output("html", _markdown(as_text(data["text/markdown"]), {}))
    return _drawn(data) or _written(data, note)


def _drawn(data: dict[str, Any]) -> Output | None:
    alt = plain(as_text(data.get("text/plain", "")))[:200]
    if "image/svg+xml" in data:
        # As an image it can neither run nor load anything, unlike in the page itself.
        drawn = as_text(data["image/svg+xml"]).encode(errors="replace")
        address = "data:image/svg+xml;base64," + base64.b64encode(drawn).decode()
        return Output("image", address, alt=alt)
    for mime in PICTURES:
        if mime in data and (encoded := _picture(as_text(data[mime]))):
            return Output("image", f"data:{mime};base64,{encoded}", alt=alt)
    return None


def _written(data: dict[str, Any], note: str) -> Output:
    label = "widget, as text" if WIDGET in data else ""
    if "application/json" in data:
        return _as_plain(as_text(data["application/json"]), label, note)
    text = as_text(data.get("text/plain", ""))
    if text and not (note and _NAMELESS.fullmatch(text)):
        return _as_plain(text, label, note)
    silent = {"text/html", "text/plain", WIDGET, *SCRIPTS}
    other = next((mime for mime in data if mime not in silent), "")
    if other:
        return _as_plain(as_text(data[other]), other, note)
    return Output("text", "", label=label, note=note or "This page cannot show it.")


def _picture(text: str) -> str:
    """Return base64 without its line ends; empty where it is none."""
    encoded = "".join(text.split())
    try:
        base64.b64decode(encoded[:64], validate=True)
    except (binascii.Error, ValueError):
        return ""
    return encoded if _BASE64.fullmatch(encoded) else ""


def _html(text: str) -> tuple[str, str]:
    if len(text) > MOST_HTML:
        return "", f"HTML of {len(text)} characters: see notebook.ipynb."
    html, removed = clean_html(CONTROLS.sub("", text))
    named = ", ".join(f"{n} {name}" for name, n in sorted(removed.items()))
    empty = "<img" not in html and not re.sub(r"<[^>]*>", "", html).strip()
    note = f"Left out of this page: {named}." if named else ""
    return ("" if empty else html), note


def _as_plain(text: str, label: str = "", note: str = "") -> Output:
    html, cut = terminal(text)
    return Output("text", html, label=label, note=" ".join(filter(None, (note, cut))))


@cache
def _writer() -> Callable[[str], Any]:
    import mistune  # noqa: PLC0415  (only where there is a text)

    class Renderer(mistune.HTMLRenderer):
        """Headings below the page's own; addresses as they are: `clean_html` judges."""

        def heading(self, text: str, level: int, **attrs: Any) -> str:
            return super().heading(text, min(level + 1, 6), **attrs)

        def sanitize_url(self, url: str) -> str:
            return url

    return mistune.create_markdown(
        renderer=Renderer(escape=True), plugins=["table", "strikethrough"]
    )


def _markdown(text: str, attached: dict[str, Any]) -> str:
    """Return Markdown as HTML; raw HTML in it stays text, outside images stay out."""
    text = CONTROLS.sub("", text)
    try:
        written = str(_writer()(text))
    except Exception:  # noqa: BLE001  (no text may end the record it stands in)
        return f"<pre>{escape(text, quote=False)}</pre>"

    def attachment(found: re.Match[str]) -> str:
        data = as_dict(attached.get(unquote(unescape(found[1]))))
        for mime in PICTURES:
            if mime in data:
                return f'src="data:{mime};base64,{_picture(as_text(data[mime]))}"'
        return found[0]

    return clean_html(_ATTACHED.sub(attachment, written))[0]
