"""The redactor: finds secrets in texts and trees and puts masks in their places.

A value is masked wherever it stands, also escaped, quoted, or in base64. Its mask is a
short HMAC under a key of the run that is only in memory, so it reads the same in the
kernel, in a tool's log and in the notebook, and tells nothing about the value.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, Self

from olrunbook.redact import patterns, private_keys, user_data
from olrunbook.redact.forms import ENCODED, MIN_LENGTH, forms_of
from olrunbook.redact.names import plausible, telling

Span = tuple[int, int, str]  # start, end, mask
HIDE = "\ue000"  # stands for what was masked before
MOST_FOUND = 2000  # values learned from their looks: each is looked for ever after
DEPTH = 3  # blobs inside blobs

_MASK = re.compile(r"\[masked:[0-9a-f]{8}\]")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_UNSAFE = re.compile(r"[^\w.,=+@-]+")


def new_key() -> str:
    """Return a fresh key for one run's masks (hex, 32 bytes of randomness)."""
    return os.urandom(32).hex()


class Masked(str):  # noqa: SLOT000  (a str cannot have slots with values)
    """A text that a redactor has masked; it is looked at again when more is known."""

    masked_by: int  # the redactor's generation as its first part was masked

    def __new__(cls, text: str, masked_by: int) -> Self:
        """Make it of a text that is masked already."""
        made = super().__new__(cls, text)
        made.masked_by = masked_by
        return made


class Redactor:
    """Masks secret values in text and in plain trees: known ones and look-alikes.

    The run's mask key (hex) is from `new_key`; `secrets` are known from the start.
    """

    def __init__(self, key: str, secrets: Iterable[str] = ()) -> None:
        self._key = bytes.fromhex(key)
        # Called with each new value, to hand it to another process by pipe.
        self.on_learn: Callable[[str], object] | None = None
        self._values: dict[str, str] = {}
        self._forms: dict[str, dict[str, str]] = {}  # by sign: form, mask
        self._found = 0
        self.masked = 0
        for value in secrets:
            self.learn(value)

    @property
    def generation(self) -> int:
        """How many values are known: a text masked under the same number stays so."""
        return len(self._values)

    @property
    def values(self) -> tuple[str, ...]:
        """The secret values known so far, to hand to another process by pipe."""
        return tuple(self._values)

    def mask(self, value: str) -> str:
        """Return the mask of a value: the same for the same value in one run."""
        raw = value.encode(errors="surrogatepass")
        return f"[masked:{hmac.new(self._key, raw, hashlib.sha256).hexdigest()[:8]}]"

    def learn(self, value: str) -> bool:
        """Add a secret value; return False where it is too short or already known."""
        value = value.strip()
        if len(value) < MIN_LENGTH or value in self._values or _MASK.fullmatch(value):
            return False
        mask = self._values[value] = self.mask(value)
        for sign, forms in forms_of(value).items():
            known = self._forms.setdefault(sign, {})
            for form in forms:
                known.setdefault(form, mask)
        self._forms.setdefault("", {})[value] = mask
        if self.on_learn:
            self.on_learn(value)
        return True

    def text(self, value: str) -> str:
        """Return the text with every secret that is known or recognised masked."""
        if len(value) < MIN_LENGTH or getattr(value, "masked_by", -1) == len(
            self._values
        ):
            return value
        parts, at = [], 0
        for start, end, mask in self.find(value):
            # Colours that begin or end inside a value go on behind its mask.
            codes = "".join(_ANSI.findall(value, start, end)) if "\x1b" in value else ""
            parts += [value[at:start], mask, codes]
            at = end
            self.masked += 1
        return "".join([*parts, value[at:]]) if parts else value

    def name(self, value: str) -> str:
        """Return a text that is safe as a part of a file's name: no secret, no sign."""
        clean = _MASK.sub(lambda found: "masked-" + found[0][8:16], self.text(value))
        return _UNSAFE.sub("-", clean).strip("-.") or "unnamed"

    def tree(self, node: Any) -> Any:
        """Return a copy of a plain tree (dict, list, str, …) with its texts masked."""
        if isinstance(node, str):
            return self.text(node)
        if isinstance(node, dict):
            return self._dictionary(node)
        if isinstance(node, list | tuple):
            if any(isinstance(x, str) and private_keys.SIGN in x for x in node):
                return self._lines(node)
            return [self.tree(value) for value in node]
        return node

    def find(self, text: str, depth: int = 0) -> list[Span]:
        """Return where the secrets of a text are, in order, with their masks."""
        hidden = text
        if "[masked:" in text:
            hidden = _MASK.sub(lambda found: HIDE * len(found[0]), text)
        if "\x1b" not in hidden:
            return self._find(hidden, depth)
        # Colour codes may cut a value in pieces: look without them, then map back.
        ends = [0, *(found.end() for found in _ANSI.finditer(hidden))]
        starts = [*(found.start() for found in _ANSI.finditer(hidden)), len(hidden)]
        pieces = [hidden[a:b] for a, b in zip(ends, starts, strict=True)]
        offsets = list(accumulate(map(len, pieces[:-1]), initial=0))

        def back(at: int) -> int:
            which = bisect_right(offsets, at) - 1
            return ends[which] + at - offsets[which]

        found = self._find("".join(pieces), depth)
        return [(back(start), back(end - 1) + 1, mask) for start, end, mask in found]

    def beginning(self, text: str) -> int:
        """Return how many characters at a text's end begin a known secret."""
        most = 0
        for forms in self._forms.values():
            for form in forms:
                longest = min(len(form) - 1, len(text))
                for size in range(longest, max(most, MIN_LENGTH - 1), -1):
                    if text.endswith(form[:size]):
                        most = size
                        break
        return most

    def _find(self, text: str, depth: int) -> list[Span]:
        spans: list[Span] = []
        mapped = user_data.runs(text)
        for start, end, strong in patterns.find(text, mapped):
            value = text[start:end]
            spans.append((start, end, self._values.get(value) or self.mask(value)))
            if strong and self._found < MOST_FOUND and self.learn(value):
                self._found += 1
        for start, end in private_keys.find(text):
            body = "".join(re.split(r"\s+|\\+[nr]", text[start:end]))
            spans.append((start, end, self.mask(body)))
        spans += self._blobs(text, mapped, depth)
        spans += self._known(text, mapped)
        return _merged(spans) if spans else spans

    def _known(self, text: str, mapped: bytes) -> Iterator[Span]:
        """Yield the places of known values in any of their forms."""
        for sign, forms in self._forms.items():
            if sign == ENCODED:
                if b"x" * MIN_LENGTH not in mapped:
                    continue
            elif sign not in text:
                continue
            for form, mask in forms.items():
                if form in text:
                    for found in re.finditer(re.escape(form), text):
                        yield *found.span(), mask

    def _blobs(self, text: str, mapped: bytes, depth: int) -> Iterator[Span]:
        """Yield the places of encoded texts that are user data or hold a secret."""
        if depth == DEPTH:
            return
        for start, end in user_data.blobs(text, mapped):
            blob = text[start:end]
            # Rules and progress bars: nothing encoded has so few different letters.
            if len(set(blob)) < user_data.FEWEST:
                continue
            if mask := self._blob(blob, depth):
                yield start, end, mask
                continue
            # Not one that is wrapped: perhaps one below the other.
            for at, stop in user_data.lines(text, mapped, start, end):
                line = text[at:stop]
                if len(set(line)) >= user_data.FEWEST and (
                    mask := self._blob(line, depth)
                ):
                    yield at, stop, mask

    def _blob(self, blob: str, depth: int) -> str:
        """Return the mask of an encoded text that must be masked, else nothing."""
        inside = user_data.decoded(blob)
        if inside is None:
            return ""
        telling = user_data.packed(blob) or user_data.looks_like_user_data(inside)
        if telling or self.find(inside, depth + 1):
            return self._values.get(inside) or self.mask(inside)
        return ""

    def _dictionary(self, node: dict[Any, Any]) -> dict[Any, Any]:
        """Mask a dictionary; a telling key says that its value is a secret."""
        name = next((node[k] for k in ("name", "Name", "key", "Key") if k in node), "")
        clean: dict[Any, Any] = {}
        for key, value in node.items():
            told = isinstance(key, str) and telling(key)
            if key in ("value", "Value") and isinstance(name, str):
                told = told or telling(name)
            clean[self.tree(key)] = self._told(value) if told else self.tree(value)
        return clean

    def _told(self, node: Any) -> Any:
        """Mask the texts beside a telling key whole."""
        if isinstance(node, list | tuple) and all(isinstance(x, str) for x in node):
            return [self._told(value) for value in node]
        if not isinstance(node, str):
            return self.tree(node)
        value = node.strip()
        if "[masked:" in node or not plausible(value, quoted=True):
            return self.text(node)
        if patterns.strong(value):
            self.learn(value)
        self.masked += 1
        return node.replace(value, self._values.get(value) or self.mask(value))

    def _lines(self, node: list[Any] | tuple[Any, ...]) -> list[Any]:
        """Mask a list of lines that holds a private key."""
        keys = private_keys.KeyLines()
        return [
            self.line(x, keys) if isinstance(x, str) else self.tree(x) for x in node
        ]

    def line(self, text: str, keys: private_keys.KeyLines) -> str:
        """Mask one line of a stream in which a private key may go on for many."""
        if not keys.body(text):
            return self.text(text)
        body = text.strip(" \t\r\n\"',")
        self.masked += 1
        return text.replace(body, self.mask(body))


def _merged(spans: list[Span]) -> list[Span]:
    """Return spans in order; what overlaps is one, with the mask of the longest."""
    spans.sort(key=lambda span: (span[0], -span[1]))
    merged: list[Span] = []
    longest = 0
    for start, end, mask in spans:
        if merged and start < merged[-1][1]:
            before = merged[-1]
            if end - start > longest:
                longest, before = end - start, (before[0], before[1], mask)
            merged[-1] = (before[0], max(before[1], end), before[2])
        else:
            merged.append((start, end, mask))
            longest = end - start
    return merged
