"""Where a worker's lines go: one JSON object a line, masked."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any, TextIO

from olrunbook.redact import Redactor


@dataclass(frozen=True, slots=True)
class Channel:
    """Where our lines go; nobody may be there to read them."""

    out: TextIO  # the private copy of standard output
    redactor: Redactor  # masks every line
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def say(self, message: dict[str, Any]) -> None:
        """Write one line."""
        line = json.dumps(self.redactor.tree(message))
        with self._lock:
            try:
                self.out.write(line + "\n")
                self.out.flush()
            except (BrokenPipeError, ValueError):
                pass  # the update goes on: half of one is worse than one unread

    def event(self, kind: str, text: str, **data: Any) -> None:
        """Write one event."""
        self.say({"event": kind, "text": text, "data": data})
