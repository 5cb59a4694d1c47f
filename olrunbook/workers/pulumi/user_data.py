"""User data as a reader wants it: decoded, by file and key, secrets masked.

What an instance gets at its first boot is base64, perhaps gzip, perhaps a MIME message
of several parts; a part is a cloud-config, or a script. The files that a cloud-config
writes are opened too. No bytes make this fail: what is not understood is shown as it
is, by line.
"""

from __future__ import annotations

import base64
import binascii
import email
import json
import re
import zlib
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from typing import Any

import yaml

from olrunbook.redact import Redactor
from olrunbook.redact.names import plausible
from olrunbook.redact.user_data import decoded

__all__ = ["Files", "differences", "files"]

Files = dict[str, dict[str, str]]  # file to key to value; key "": the whole text

MOST = 1 << 20  # bytes a packed text may unpack to
MOST_YAML = 1 << 17  # characters; the reader of YAML is slow
MOST_LEAVES, DEPTH = 2000, 20
LONGEST = 200  # characters of a value that is shown
GZIP = b"\x1f\x8b"
BASE64 = re.compile(r"[A-Za-z0-9+/\s]{8,}=*\s*")
MASK = re.compile(r"(\[masked:[0-9a-f]{8}\])")
CUT = re.compile(r"\[m?a?s?k?e?d?:?[0-9a-f]{0,8}$")
MIME = re.compile(r"\A\s*(?:content-type|mime-version)\s*:", re.IGNORECASE)
SETTING = re.compile(r"(?:export\s+)?([A-Za-z_][\w.-]*)\s*=(.*)")
WORD = re.compile(r"[^\s\"'`=,;:<>()\[\]{}|&]+")
RANDOM = re.compile(r"(?=[\w+/]*\d)(?=[\w+/]*[A-Za-z])[\w+/]{12,}")
OTHERS = 0o077  # who beside its owner may read a file
PERMISSIONS = "(permissions)"


def files(text: str) -> Files:
    """Return what is inside user data, by file and key.

    Args:
        text: As a launch template has it: base64, or plain.

    """
    found: Files = {}
    for name, body in _parts(_opened(text.encode(errors="replace")), "user data", 0):
        _part(name, body, found)
    return found


def _opened(raw: bytes) -> str:
    """Return the text in bytes, out of base64 and gzip."""
    if raw.startswith(GZIP):
        raw = _unpacked(raw)
    text = raw.decode(errors="replace")
    for _ in range(2):
        if not BASE64.fullmatch(text) or not (inside := decoded(text)):
            break
        text = inside
    return text


def _unpacked(raw: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(raw, MOST)
    except zlib.error:
        return b"(a gzip that cannot be opened)"


def _parts(text: str, name: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield name and text of each part of a MIME message, or the text itself."""
    if not MIME.match(text) or depth > DEPTH:
        yield name, text
        return
    try:
        message = email.message_from_string(text)
        inside = [part for part in message.walk() if not part.is_multipart()]
        opened = [
            (
                part.get_filename() or f"part {at} ({part.get_content_type()})",
                _opened(part.get_payload(decode=True) or b""),  # type: ignore[arg-type]
            )
            for at, part in enumerate(inside, 1)
        ]
    except Exception:  # noqa: BLE001  (whatever the standard library makes of bytes)
        yield name, text
        return
    for inner, body in opened:
        # A part that is a message again is opened once more, never the same one.
        yield from _parts(body, inner, depth + 1) if body != text else [(inner, body)]


def _part(name: str, body: str, found: Files) -> None:
    """Put a part's files and keys where they belong."""
    config = _yaml(body) if "#cloud-config" in body[:200] else None
    if not isinstance(config, dict):
        _add(found, name, _keys(body))
        return
    written = config.pop("write_files", None)
    for entry in written if isinstance(written, list) else []:
        if not isinstance(entry, dict):
            continue
        values = _keys(_content(entry))
        for key in ("permissions", "owner", "append", "defer"):
            if key in entry:
                values[f"({key})"] = _plain(entry[key], octal=key == "permissions")
        _add(found, _plain(entry.get("path")), values)
    if config:
        _add(found, name, dict(_leaves(config)))


def _add(found: Files, name: str, values: dict[str, str]) -> None:
    """Add a file; a second one of its name stands beside the first."""
    wanted, at = name, 1
    while wanted in found:
        at += 1
        wanted = f"{name} ({at})"
    found[wanted] = values


def _yaml(text: str) -> Any:
    """Return what YAML says; None: it is none, or too long to be read."""
    if len(text) > MOST_YAML:
        return None
    try:
        return yaml.safe_load(text)
    except Exception:  # noqa: BLE001  (it raises more kinds than its own)
        return None


def _content(entry: dict[Any, Any]) -> str:
    """Return the content of a file that cloud-init writes."""
    content = entry.get("content")
    raw = content if isinstance(content, bytes) else _plain(content).encode()
    encoding = str(entry.get("encoding") or "").lower()
    if "b64" in encoding or "base64" in encoding:
        try:
            raw = base64.b64decode(raw)
        except (binascii.Error, ValueError):
            return raw.decode(errors="replace")
    return (_unpacked(raw) if raw.startswith(GZIP) else raw).decode(errors="replace")


def _keys(text: str) -> dict[str, str]:
    """Return a file's values by key, where it has keys; else its text."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return dict(_leaves(json.loads(text)))
        except (ValueError, RecursionError):
            return {"": text}
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and line[0] not in "#;"]
    settings = [SETTING.fullmatch(line) for line in lines]
    keys = [match[1] for match in settings if match]
    if lines and len(set(keys)) == len(lines):
        return {match[1]: match[2].strip() for match in settings if match}
    return {"": text}


def _leaves(tree: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield path and text of the values in a tree, as many as a reader can take."""
    todo = [(path, tree, depth)]
    given = 0
    while todo and given < MOST_LEAVES:
        path, node, depth = todo.pop()
        inner: list[tuple[str, Any]] = []
        if isinstance(node, dict) and node and depth < DEPTH:
            dot = "." if path else ""
            inner = [(f"{path}{dot}{_plain(key)}", node[key]) for key in node]
        elif isinstance(node, list) and node and depth < DEPTH:
            inner = [(f"{path}[{at}]", item) for at, item in enumerate(node)]
        else:
            given += 1
            yield path, _plain(node)
        todo += [(name, item, depth + 1) for name, item in reversed(inner)]


def _plain(value: Any, *, octal: bool = False) -> str:
    """Return a value as text; one that is a tree, only what kind it is."""
    if isinstance(value, str):
        return value
    if octal and isinstance(value, int):
        return f"0{value:o}"  # YAML has read 0644 as a number
    if value is None or isinstance(value, dict | list | set | tuple):
        return f"({len(value)} more)" if value else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def differences(
    old: Files, new: Files, redactor: Redactor, *, secret: bool
) -> list[dict[str, str]]:
    """Return what differs: file, key, kind, old and new, with secrets masked.

    Args:
        old: What was given before.
        new: What is given now.
        redactor: Knows the secrets of the stack.
        secret: The engine hides the old one. Its secrets may be known to nobody any
            more, so each of its words that may be one is masked.

    """
    rows: list[dict[str, str]] = []
    for name in sorted({*old, *new}):
        before, after = old.get(name, {}), new.get(name, {})
        mine = [before.get(PERMISSIONS), after.get(PERMISSIONS)]
        closed = any(_closed(text) for text in mine if text)
        for key in sorted({*before, *after}):
            was, now = before.get(key), after.get(key)
            if was == now:
                continue
            for line, one, other in _lines(key, was, now, redactor):
                hidden = _hidden(line, other, redactor, closed=closed, strict=False)
                gone = _hidden(
                    line,
                    one,
                    redactor,
                    closed=closed or "[masked:" in hidden,
                    # Nothing new at its place says that it was none.
                    strict=secret and (other is None or line != key),
                )
                kind = "add" if one is None else "delete" if other is None else "update"
                where = {"file": redactor.text(name), "key": redactor.text(line)}
                rows.append({**where, "kind": kind, "old": gone, "new": hidden})
    return rows


def _closed(permissions: str) -> bool:
    """Whether only its owner may read a file: then it holds a secret."""
    try:
        return not int(permissions, 8) & OTHERS
    except ValueError:
        return False


def _lines(
    key: str, was: str | None, now: str | None, redactor: Redactor
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield key, old and new of a value; of a text, each line that differs."""
    if all(text is None or "\n" not in text.strip() for text in (was, now)):
        yield key, was, now
        return
    # Masked before it is cut in lines: a key may have many.
    one, two = (redactor.text(text or "").splitlines() for text in (was, now))
    same = SequenceMatcher(None, one[:MOST_LEAVES], two[:MOST_LEAVES], autojunk=False)
    for kind, a, b, c, d in same.get_opcodes():
        for at in range(max(b - a, d - c)) if kind != "equal" else ():
            before = one[a + at] if a + at < b else None
            after = two[c + at] if c + at < d else None
            number = (c if after is not None else a) + at + 1
            yield f"{key} line {number}".strip(), before, after


def _hidden(
    key: str, value: str | None, redactor: Redactor, *, closed: bool, strict: bool
) -> str:
    """Return a value as it may be shown."""
    if not value:
        return ""
    if closed and not key.startswith("("):
        return redactor.mask(value)
    may_be: Callable[..., object] = plausible if strict else _random

    def word(found: re.Match[str]) -> str:
        return redactor.mask(found[0]) if may_be(found[0], quoted=False) else found[0]

    masked = MASK.split(str(redactor.tree({key: value})[redactor.text(key)]))
    masked[::2] = [WORD.sub(word, text) for text in masked[::2]]
    text = "".join(masked)
    if len(text) > LONGEST:  # never in the middle of a mask
        return f"{CUT.sub('', text[:LONGEST])}… ({len(text)} characters)"
    return text


def _random(word: str, *, quoted: bool) -> bool:
    """Whether a word looks drawn by lot: letters and digits, long, in one run."""
    return plausible(word, quoted=quoted) and bool(RANDOM.search(word))
