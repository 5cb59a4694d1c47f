"""User data as a reader wants it: decoded, by file and key, secrets masked.

What an instance gets at its first boot is base64, perhaps gzip, perhaps a MIME message;
a part is a cloud-config, which is opened with the files it writes, or a script. No
bytes make this fail: what is not understood is shown as it is, by line.
"""

from __future__ import annotations

import base64
import contextlib
import email
import json
import re
import zlib
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from itertools import islice
from typing import Any

import yaml

from olrunbook.redact import Redactor
from olrunbook.redact.names import plausible
from olrunbook.redact.user_data import decoded

Files = dict[str, dict[str, str]]  # file to key to value; key "": the whole text

MOST = 1 << 20  # bytes a packed text may unpack to
MOST_YAML = 1 << 17  # characters; the reader of YAML is slow
MOST_LEAVES, DEPTH = 2000, 20
LONGEST = 200  # characters of a value that is shown
BASE64 = re.compile(r"[A-Za-z0-9+/\s]{8,}=*\s*")
MASK = re.compile(r"(\[masked:[0-9a-f]{8}\])")
CUT = re.compile(r"\[m?a?s?k?e?d?:?[0-9a-f]{0,8}$")
MIME = re.compile(r"\s*(?:content-type|mime-version)\s*:", re.IGNORECASE)
SETTING = re.compile(r"(?:export\s+)?([A-Za-z_][\w.-]*)\s*=(.*)")
WORD = re.compile(r"[^\s\"'`=,;:<>()\[\]{}|&]+")
RANDOM = re.compile(r"(?=[\w+/]*\d)(?=[\w+/]*[A-Za-z])[\w+/]{12,}")
OTHERS = 0o077  # who beside its owner may read a file
MODE = "(permissions)"


def files(text: str) -> Files:
    """Return what is inside user data (base64, or plain), by file and key."""
    found: Files = {}
    for name, body in _parts(_opened(text.encode(errors="replace"))):
        config = _tree(yaml.safe_load, body) if "#cloud-config" in body[:200] else None
        if not isinstance(config, dict):
            found.setdefault(name, {}).update(_keys(body))
            continue
        written = config.pop("write_files", None)
        for entry in written if isinstance(written, list) else ():
            if isinstance(entry, dict):
                path = _plain(entry.get("path"))
                found.setdefault(path, {}).update(_written(entry))
        found.setdefault(name, {}).update(_leaves(config))
    return {name: values for name, values in found.items() if values}


def _opened(raw: bytes) -> str:
    """Return the text in bytes, out of gzip and base64."""
    text = _unpacked(raw)
    for _ in range(2):
        if BASE64.fullmatch(text) and (inside := decoded(text)):
            text = inside
    return text


def _unpacked(raw: bytes) -> str:
    if raw.startswith(b"\x1f\x8b"):
        with contextlib.suppress(zlib.error):
            raw = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(raw, MOST)
    return raw.decode(errors="replace")


def _parts(text: str) -> list[tuple[str, str]]:
    """Return name and text of each part of a MIME message, or the text itself."""
    whole = [("user data", text)]
    if not MIME.match(text):
        return whole
    try:
        message = email.message_from_string(text)
        parts = [part for part in message.walk() if not part.is_multipart()]
        return [
            (
                part.get_filename() or f"part {at} ({part.get_content_type()})",
                _opened(part.get_payload(decode=True) or b""),  # type: ignore[arg-type]
            )
            for at, part in enumerate(parts, 1)
        ]
    except Exception:  # noqa: BLE001  (whatever the standard library makes of bytes)
        return whole


def _tree(load: Callable[[str], Any], text: str) -> Any:
    """Return what YAML or JSON says; None: it is none, or too long to be read."""
    try:
        return load(text) if len(text) <= MOST_YAML else None
    except Exception:  # noqa: BLE001  (they raise more kinds than their own)
        return None


def _written(entry: dict[Any, Any]) -> dict[str, str]:
    """Return the values of a file that cloud-init writes, with its owner and mode."""
    raw = _plain(entry.get("content")).encode(errors="replace")
    if "64" in str(entry.get("encoding")):
        with contextlib.suppress(ValueError):
            raw = base64.b64decode(raw)
    mode = entry.get("permissions")  # YAML reads 0644 as a number
    more = {MODE: f"0{mode:o}" if isinstance(mode, int) else _plain(mode)}
    more["(owner)"] = _plain(entry.get("owner"))
    return _keys(_unpacked(raw)) | {key: text for key, text in more.items() if text}


def _keys(text: str) -> dict[str, str]:
    """Return a file's values by key, where it has keys; else its text."""
    tree = _tree(json.loads, text)
    if isinstance(tree, dict | list):
        return _leaves(tree)
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and line[0] not in "#;"]
    found = [match for line in lines if (match := SETTING.fullmatch(line))]
    keys = {match[1]: match[2].strip() for match in found}
    return keys if lines and len(keys) == len(lines) else {"": text}


def _leaves(tree: Any) -> dict[str, str]:
    """Return path and text of the values in a tree, as many as a reader can take."""

    def walk(node: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
        if isinstance(node, dict) and depth:
            for key, value in node.items():
                yield from walk(value, f"{path}.{_plain(key)}".lstrip("."), depth - 1)
        elif isinstance(node, list) and depth:
            for at, value in enumerate(node):
                yield from walk(value, f"{path}[{at}]", depth - 1)
        else:
            yield path, _plain(node)

    return dict(islice(walk(tree, "", DEPTH), MOST_LEAVES))


def _plain(value: Any) -> str:
    """Return a value as text; of a tree, only that there is one."""
    if isinstance(value, dict | list | set | tuple):
        return "…"  # one that names itself has no end
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None else str(value)


def differences(
    old: Files, new: Files, redactor: Redactor, *, secret: bool
) -> list[dict[str, str]]:
    """Return what differs: file (where), key (what), old and new, with secrets masked.

    Where the engine hides the old one (`secret`), its secrets may be known to nobody
    any more, so each of its words that may be one is masked.
    """
    rows = []
    for name in sorted({*old, *new}):
        before, after = old.get(name, {}), new.get(name, {})
        closed = _closed(before) or _closed(after)
        for key in sorted({*before, *after}):
            for line, one, other in _lines(
                key, before.get(key), after.get(key), redactor
            ):
                hidden = _hidden(line, other, redactor, closed=closed, strict=False)
                # A secret stands where one stood. Where nothing new stands at its
                # place, nothing says that it was none.
                here = closed or "[masked:" in hidden
                strict = secret and (other is None or line != key)
                gone = _hidden(line, one, redactor, closed=here, strict=strict)
                where = {"where": redactor.text(name), "what": redactor.text(line)}
                rows.append({**where, "old": gone, "new": hidden})
    return rows


def _closed(values: dict[str, str]) -> bool:
    """Whether only its owner may read a file: then it holds a secret."""
    mode = values.get(MODE, "")
    return bool(re.fullmatch("[0-7]{1,6}", mode)) and not int(mode, 8) & OTHERS


def _lines(
    key: str, was: str | None, now: str | None, redactor: Redactor
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield key, old and new of a value; of a text, each line that differs."""
    if was == now:
        return
    if "\n" not in f"{was or ''}{now or ''}".strip():
        yield key, was, now
        return
    # Masked before it is cut in lines: a private key has many.
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
    if not value or (closed and not key.startswith("(")):
        return redactor.mask(value) if value else ""

    def word(found: re.Match[str]) -> str:
        may_be = plausible(found[0], quoted=False)
        may_be = may_be and (strict or bool(RANDOM.search(found[0])))
        return redactor.mask(found[0]) if may_be else found[0]

    parts = MASK.split(str(redactor.tree({key: value})[redactor.text(key)]))
    parts[::2] = [WORD.sub(word, text) for text in parts[::2]]
    text = "".join(parts)
    if len(text) <= LONGEST:
        return text
    # Never in the middle of a mask: half of one is another in each run.
    return f"{CUT.sub('', text[:LONGEST])}… ({len(text)} characters)"
