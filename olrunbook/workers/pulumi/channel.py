"""Where a worker's lines go: one JSON object a line, masked."""

from __future__ import annotations

import json
import threading
from typing import Any, TextIO

from olrunbook.redact import Redactor

__all__ = ["Channel"]


class Channel:
    """Where our lines go; nobody may be there to read them.

    Args:
        out: The private copy of standard output.
        redactor: Masks every line.

    """

    def __init__(self, out: TextIO, redactor: Redactor) -> None:
        self._out, self._redactor = out, redactor
        self._lock = threading.Lock()

    def say(self, message: dict[str, Any]) -> None:
        """Write one line."""
        line = json.dumps(self._redactor.tree(message))
        with self._lock:
            try:
                self._out.write(line + "\n")
                self._out.flush()
            except (BrokenPipeError, ValueError):
                pass  # the update goes on: half of one is worse than one unread

    def event(self, kind: str, text: str, **data: Any) -> None:
        """Write one event."""
        self.say({"event": kind, "text": text, "data": data})
