"""Mask secrets before the first byte is written. The one leaf every process uses.

A value is masked wherever it stands, also escaped, quoted, or in base64. Its mask is a
short HMAC under a key of the run that is only in memory, so it reads the same in the
kernel, in a tool's log and in the notebook, and tells nothing about the value.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

__all__ = ["KEY_VARIABLE", "Redactor", "new_key"]

KEY_VARIABLE = "OLRUNBOOK_MASK_KEY"
MIN_LENGTH = 6  # shorter values would mask ordinary words

# Whole private keys, whatever value they have; the armour stays readable.
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----)(.*?)"
    r"(-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


def new_key() -> str:
    """Return a fresh key for one run's masks (hex, 32 bytes of randomness)."""
    return os.urandom(32).hex()


class Redactor:
    """Masks known secret values in text and in plain trees.

    Args:
        key: The run's mask key (hex), from `new_key`.
        secrets: Values known to be secret from the start.
        on_learn: Called with each new value, to hand it to another process by pipe.

    """

    def __init__(
        self,
        key: str,
        secrets: Iterable[str] = (),
        on_learn: Callable[[str], None] | None = None,
    ) -> None:
        self._key = bytes.fromhex(key)
        self.on_learn = on_learn
        self._values: dict[str, str] = {}
        self._forms: list[tuple[str, str]] = []
        self.masked = 0
        for value in secrets:
            self.learn(value)

    @property
    def values(self) -> tuple[str, ...]:
        """The secret values known so far, to hand to another process by pipe."""
        return tuple(self._values)

    def mask(self, value: str) -> str:
        """Return the mask of a value: the same for the same value in one run."""
        digest = hmac.new(self._key, value.encode(), hashlib.sha256).hexdigest()
        return f"[masked:{digest[:8]}]"

    def learn(self, value: str) -> bool:
        """Add a secret value; return False where it is too short or already known."""
        value = value.strip()
        if len(value) < MIN_LENGTH or value in self._values:
            return False
        mask = self._values[value] = self.mask(value)
        raw = value.encode()
        forms = {value, quote(value, safe=""), repr(value)[1:-1]}
        forms |= {json.dumps(value)[1:-1], json.dumps(json.dumps(value)[1:-1])[1:-1]}
        forms |= {
            base64.b64encode(raw).decode(),
            base64.urlsafe_b64encode(raw).decode(),
        }
        # Inside a longer base64 text the value starts at one of three offsets.
        for shift in (1, 2):
            inner = base64.b64encode(b"\0" * shift + raw).decode()
            cut = 2 if shift == 1 else 3
            inner = inner[cut:].rstrip("=")
            tail = (len(raw) + shift) % 3
            forms.add(inner[:-1] if tail else inner)
        if (tail := len(raw) % 3) and len(raw) > MIN_LENGTH:
            forms.add(base64.b64encode(raw[:-tail]).decode())
        forms |= {line for line in value.splitlines() if len(line) >= 2 * MIN_LENGTH}
        self._forms += [(form, mask) for form in forms if len(form) >= MIN_LENGTH]
        self._forms.sort(key=lambda pair: len(pair[0]), reverse=True)
        if self.on_learn:
            self.on_learn(value)
        return True

    def text(self, value: str) -> str:
        """Return the text with every known secret and private key masked."""
        if "PRIVATE KEY-----" in value:
            value = _PRIVATE_KEY.sub(self._private_key, value)
        for form, mask in self._forms:
            if form in value:
                self.masked += value.count(form)
                value = value.replace(form, mask)
        return value

    def _private_key(self, found: re.Match[str]) -> str:
        body = found.group(2)
        if body.lstrip("\\nr \n").startswith("[masked:"):
            return found.group(0)
        self.masked += 1
        return f"{found.group(1)}{self.mask(body)}{found.group(3)}"

    def tree(self, node: Any) -> Any:
        """Return a copy of a plain tree (dict, list, str, …) with its texts masked."""
        if isinstance(node, str):
            return self.text(node)
        if isinstance(node, dict):
            return {self.tree(key): self.tree(value) for key, value in node.items()}
        if isinstance(node, list | tuple):
            return [self.tree(value) for value in node]
        return node
