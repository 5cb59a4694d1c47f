"""Encoded blobs that hold text: user data and secrets inside base64 and gzip."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from functools import lru_cache

SHORTEST = 24  # letters of a blob that is looked into
FEWEST = 6  # different letters of an encoded text, at least
HEAD = 256  # letters that tell text from pictures and digests
MOST = 4 << 20  # bytes a packed blob may unpack to before we stop looking

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
NEEDLE = b"x" * SHORTEST
_MAP = bytes(0x78 if code in _LETTERS else 0x20 for code in range(256))
# A blob may be wrapped; in a literal or in JSON its line breaks are written out.
_BLOB = re.compile(
    r"[A-Za-z0-9+/_-]{8,}(?:(?:\r?\n[ \t]*|(?:\\+r)?\\+n)[A-Za-z0-9+/_-]{4,})*={0,2}"
)
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1b")
_BREAK = re.compile(r"\s+|\\+[rn]")
_WEB = str.maketrans("-_", "+/")
_USER_DATA = (
    "#!",
    "#cloud-",
    "#include",
    "#part-handler",
    "## template: jinja",
    "Content-Type: multipart",
    "MIME-Version:",
)
_INSIDE = ("write_files:", "runcmd:", "Content-Type: text/cloud-config")


def runs(text: str) -> bytes:
    """Return a map of the text, one byte a character: `x` where base64 may stand."""
    return text.encode("ascii", "replace").translate(_MAP)


def blobs(text: str, mapped: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of what may be base64, wrapped blobs as one.

    The text's map is from `runs`.
    """
    at = 0
    while (at := mapped.find(NEEDLE, at)) >= 0:
        end = mapped.find(b" ", at)
        end = len(mapped) if end < 0 else end
        # The n of a line break that is written out is none of the blob's letters.
        start = at + 1 if at and text[at - 1] == "\\" and text[at] in "nrt" else at
        # An indented or unwrapped run of words and paths is not worth a closer look.
        if (found := _BLOB.match(text, start)) and found.end() > end:
            end = found.end()
        yield start, end
        at = end


def lines(text: str, mapped: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each long line of a blob that has more than one."""
    first = mapped.find(b" ", start, end)
    # The first line begins as the blob does: where that is no text, neither is it.
    if first < 0 or (
        mapped.find(NEEDLE, first, end) < 0
        and not _begins_well(text[start : start + SHORTEST])
    ):
        return
    breaks = [found.span() for found in _BREAK.finditer(text, start, end)]
    if breaks:
        starts = [start, *(stop for _, stop in breaks)]
        for at, stop in zip(starts, [*(at for at, _ in breaks), end], strict=True):
            if stop - at >= SHORTEST:
                yield at, stop


def decoded(blob: str) -> str | None:
    """Return the text inside a blob; None where it holds something else."""
    if not _begins_well(blob[:SHORTEST]):  # most are no text, and end here
        return None
    head = _bytes(_BREAK.sub("", blob[:HEAD]))
    if not head or not (_packed(head) or _readable(head[:-3])):
        return None
    raw = _bytes(_BREAK.sub("", blob))
    if _packed(raw):
        raw = _unpacked(raw)
    return raw.decode(errors="replace") if raw and _readable(raw[:HEAD]) else None


@lru_cache(maxsize=4096)  # lines of a log begin alike: rules, paths, columns
def _begins_well(letters: str) -> bool:
    """Tell whether the first letters of a blob may begin a text or a gzip."""
    head = _bytes(letters)
    return bool(head) and (_packed(head) or _readable(head[:-3]))


def packed(blob: str) -> bool:
    """Tell whether a blob is gzip inside base64."""
    return _packed(_bytes(_BREAK.sub("", blob[:HEAD])))


def looks_like_user_data(text: str) -> bool:
    """Tell whether a text is a machine's user data: cloud-init, MIME, a script."""
    head = text.lstrip("\ufeff \r\n\t")
    return head.startswith(_USER_DATA) or any(word in text for word in _INSIDE)


def _bytes(letters: str) -> bytes:
    letters = letters.rstrip("=").translate(_WEB)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4))
    except (binascii.Error, ValueError):
        return b""


def _packed(raw: bytes) -> bool:
    return raw.startswith(b"\x1f\x8b")


def _unpacked(raw: bytes) -> bytes:
    """Return what a gzip holds, as much of it as is there."""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(raw, MOST)
    except zlib.error:
        return b""


def _readable(raw: bytes) -> bool:
    """Tell whether bytes are text: no control character, valid UTF-8."""
    if len(raw.translate(None, _CONTROLS)) != len(raw):
        return False
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start > len(raw) - 4  # a letter that is cut at the end
    return True
