"""Private keys in whatever armour, whole or cut off, on one line or on many."""

from __future__ import annotations

import re
from collections.abc import Iterator

SIGN = "PRIVATE KEY"
_BEGIN = r"-{4,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}"
_END = r"-{4,5} ?END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}"
# Without its end the body goes on as far as there is nothing but base64, line breaks
# (also written out, also between the quotes of a list of lines) and PEM's headers.
_LINE = r"(?:[A-Za-z0-9+/=]{16,}|[A-Za-z0-9+/]+={0,2}(?=[\s\"'\\]|$)|[\w-]+: [^\n\\]*)"
_KEY = re.compile(
    rf"{_BEGIN}(?P<body>(?:(?!-{{4,5}} ?BEGIN).)*?(?={_END})"
    rf"|(?:[\s\"',\\]|\\+[nr]|{_LINE})+)",
    re.DOTALL,
)
_PUTTY = re.compile(
    r"Private-Lines: \d+(?P<body>(?:(?:\s|\\+[nr])+[A-Za-z0-9+/=]{16,})+)"
)
_EDGE = re.compile(r"^(?:[\s\"',]|\\+[nr\"'])+|(?:[\s\"',]|\\+[nr\"'])+$")
_BODY_LINE = re.compile(r"[\s\"',\\>|]*(?:[A-Za-z0-9+/=]+|[\w-]+: .*)?[\s\"',\\nr]*")


def find(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of the bodies of private keys; the armour stays readable."""
    if SIGN in text:
        yield from _bodies(_KEY, text)
    if "Private-Lines:" in text:
        yield from _bodies(_PUTTY, text)


def _bodies(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    for found in pattern.finditer(text):
        start, end = found.span("body")
        body = text[start:end]
        lead = _EDGE.match(body)
        start += lead.end() if lead else 0
        if (trail := _EDGE.search(text, start, end)) and trail.end() == end:
            end = trail.start()
        if end - start > 3 and "\ue000" not in text[start:end]:  # noqa: PLR2004
            yield start, end


class KeyLines:
    """Follows lines of a stream and knows which belong to a private key."""

    def __init__(self) -> None:
        self.inside = False

    def body(self, line: str) -> bool:
        """Tell whether a line is part of a key that began on a line before."""
        if SIGN in line and re.search(_BEGIN, line):
            self.inside = not re.search(_END, line)
            return False
        if self.inside and (
            SIGN in line or not _BODY_LINE.fullmatch(line) or "[masked:" in line
        ):
            self.inside = False
        return self.inside and bool(line.strip(" \t\r\n\"',"))
