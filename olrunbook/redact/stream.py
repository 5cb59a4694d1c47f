"""Mask a stream that comes in pieces: a value may be cut in two anywhere."""

from __future__ import annotations

import re

from olrunbook.redact.private_keys import KeyLines
from olrunbook.redact.redactor import Redactor

CONTEXT = 200  # characters already given that still explain what follows
HOLD = 4096  # characters of a word without an end that are held back
_WORD = re.compile(r"[^\s\x1b]*[\w+/=_-]\Z")


class StreamMask:
    """Masks one stream piece by piece, whole lines first."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._keys = KeyLines()
        self._given = ""  # the beginning of the unfinished line, as it came
        self.rest = ""  # of it what is held back, as it came

    def feed(self, text: str) -> str:
        """Take a piece; return the lines that are whole now, masked."""
        *lines, last = (self.rest + text).split("\n")
        if not lines:
            self.rest = last
            return ""
        first = self._piece(lines.pop(0)) + "\n"
        self._given, self.rest = "", last
        return first + (self._block(lines) + "\n" if lines else "")

    def flush(self) -> str:
        """Return what of the unfinished line can be shown: no beginning of a secret."""
        text, keep = self.rest, self._tail()
        shown = self._piece(text[: len(text) - keep])
        self._given = (self._given + text[: len(text) - keep])[-CONTEXT:]
        self.rest = text[len(text) - keep :]
        return shown

    def peek(self) -> str:
        """Return what `flush` would, and give nothing away."""
        before = self._given, self.rest, self._redactor.masked, self._keys.inside
        shown = self.flush()
        self._given, self.rest, self._redactor.masked, self._keys.inside = before
        return shown

    def close(self) -> str:
        """Return the rest, masked; a secret that was cut off by the end too."""
        text = self.rest
        keep = self._redactor.beginning(text)
        shown = self._piece(text[: len(text) - keep])
        if keep:
            shown += self._redactor.mask(text[len(text) - keep :])
        self._given = self.rest = ""
        return shown

    def _piece(self, text: str) -> str:
        """Mask a part of a line, with what stood before it on the line in mind."""
        if not self._given:
            return self._redactor.line(text, self._keys) if text else text
        whole, cut = self._given + text, len(self._given)
        parts, at = [], cut
        for start, end, mask in self._redactor.find(whole):
            if end > cut:
                parts += [whole[at : max(start, at)], mask]
                at = end
                self._redactor.masked += 1
        return "".join([*parts, whole[at:]])

    def _block(self, lines: list[str]) -> str:
        """Mask whole lines at once, but those of a key that began before."""
        done: list[str] = []
        while lines and self._keys.inside:
            done.append(self._redactor.line(lines.pop(0), self._keys))
        text = "\n".join(lines)
        if "PRIVATE KEY" in text:
            for line in lines:
                self._keys.body(line)  # where the block leaves us
        return "\n".join([*done, *([self._redactor.text(text)] if lines else [])])

    def _tail(self) -> int:
        """Return how many characters at the end may belong to a secret's beginning."""
        text = self.rest
        word = _WORD.search(text)
        held = min(len(word[0]), HOLD) if word else 0
        held = max(held, self._redactor.beginning(text))
        cut = len(text) - held
        for start, end, _ in self._redactor.find(text) if held else ():
            if start < cut < end:  # a value with blanks in it stays whole
                return len(text) - start
        return held
