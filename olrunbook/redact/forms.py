"""The forms a known value may take: quoted, escaped, encoded."""

from __future__ import annotations

import base64
import json
import re
from itertools import product
from urllib.parse import quote, quote_plus

MIN_LENGTH = 6  # shorter values would mask ordinary words
LINE_LENGTH = 12  # of a line of a longer value that is a secret of its own

# A form with one of these signs need not be looked for in a text without it.
SIGNS = "%\\&"
ENCODED = "base64"  # forms that only stand inside a run of such letters

_LATEX = re.compile(r"([&%$#_{}])")


def forms_of(value: str) -> dict[str, set[str]]:
    """Return every form of a value, by the sign a text must have to hold it.

    Returns:
        Forms by sign: "" (look always), one of `SIGNS`, or `ENCODED`.

    """
    raw = value.encode(errors="surrogatepass")
    lines = {x.strip() for x in value.splitlines() if len(x.strip()) >= LINE_LENGTH}
    plain = {value} | (lines if len(value.splitlines()) > 1 else set())
    forms = set(plain)
    for text in plain:
        forms |= _escaped(text)
    found: dict[str, set[str]] = {}
    for form in forms:
        if len(form) >= MIN_LENGTH:
            sign = next((s for s in SIGNS if s in form and s not in value), "")
            found.setdefault(sign, set()).add(form)
    encoded = _base64(raw) | {raw.hex(), raw.hex().upper()}
    found[ENCODED] = {form for form in encoded if len(form) >= MIN_LENGTH}
    return found


def _escaped(value: str) -> set[str]:
    """Return a value as URLs, Python, JSON, HTML, shells and LaTeX write it."""
    python = {repr(value)[1:-1], repr(value.encode(errors="surrogatepass"))[2:-1]}
    python |= {value.replace("\\", "\\\\").replace(q, "\\" + q) for q in "'\""}
    dumped = {json.dumps(value, ensure_ascii=pure)[1:-1] for pure in (True, False)}
    # Go's encoder, which Pulumi and Packer use, escapes these three, PHP's the slash.
    for text in tuple(dumped):
        go = text.replace("<", r"\u003c").replace(">", r"\u003e")
        dumped |= {go.replace("&", r"\u0026"), text.replace("/", r"\/")}
    twice = {json.dumps(text)[1:-1] for text in dumped}
    thrice = {json.dumps(text)[1:-1] for text in twice}
    page = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    pages = {page, page.replace('"', "&quot;")}
    for quot, apos in product(("&quot;", "&#34;"), ("&#x27;", "&#39;", "&apos;")):
        pages.add(page.replace('"', quot).replace("'", apos))
    pages |= {text.replace("\\", "\\\\") for text in pages}
    urls = {quote(value, safe="", errors="replace"), quote(value, errors="replace")}
    urls.add(quote_plus(value, errors="replace"))
    urls |= {re.sub("%[0-9A-F]{2}", lambda m: m[0].lower(), url) for url in urls}
    shell = {value.replace("'", "'\"'\"'"), value.replace("'", "'\\''")}
    shell.add(re.sub(r'([\\"$`])', r"\\\1", value))
    latex = {_LATEX.sub(r"\\\1", value)}
    return python | dumped | twice | thrice | pages | urls | shell | latex


def _base64(raw: bytes) -> set[str]:
    """Return what of a value is certain to stand in a base64 text that holds it."""
    forms: set[str] = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        forms.add(encode(raw).decode())
        # Inside a longer text the value starts at one of three offsets; the letters
        # at its ends are shared with its neighbours.
        for shift, cut in ((0, 0), (1, 2), (2, 3)):
            inner = encode(b"\0" * shift + raw).decode()[cut:].rstrip("=")
            forms.add(inner[:-1] if (len(raw) + shift) % 3 else inner)
    return forms
