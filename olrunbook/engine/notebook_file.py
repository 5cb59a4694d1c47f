"""The executed notebook on the disk: masked, capped, written whole and seldom."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from pathlib import Path
from typing import Any, TextIO

from olrunbook.record.files import write_atomic
from olrunbook.redact import Redactor

__all__ = ["NotebookFile", "StreamCap"]


class StreamCap:
    """Keep the first and last lines of a stream; the whole goes to a log.

    Args:
        log: The log file, opened at the first line left out.
        redactor: Masks whole lines, so that a value cut by a flush is still found.
        head: Lines kept from the beginning.
        tail: Lines kept from the end.

    """

    def __init__(
        self, log: Path, redactor: Redactor, head: int = 500, tail: int = 500
    ) -> None:
        self._path, self._redactor = log, redactor
        self._log: TextIO | None = None
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=tail)
        self._max_head = head
        self._lines = 0
        self._rest = ""

    def feed(self, text: str) -> None:
        """Take the next piece of the stream."""
        *done, self._rest = (self._rest + text).split("\n")
        if not done:
            return
        block = self._redactor.text("\n".join(done) + "\n")
        lines = block.split("\n")[:-1]
        room = self._max_head + (self._tail.maxlen or 0)
        if self._log is None and self._lines + len(lines) > room:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._log = os.fdopen(handle, "w", encoding="utf-8")
            self._log.writelines(f"{line}\n" for line in (*self._head, *self._tail))
        if self._log:
            self._log.write(block)
        for line in lines:
            self._lines += 1
            (self._head if len(self._head) < self._max_head else self._tail).append(
                line
            )

    def text(self) -> str:
        """Return what the notebook shows of the stream so far."""
        dropped = self._lines - len(self._head) - len(self._tail)
        note = f"… {dropped} lines left out; all of them: logs/{self._path.name} …"
        lines = [*self._head, *([note] if dropped else []), *self._tail]
        return "".join(f"{line}\n" for line in lines) + self._redactor.text(self._rest)

    def close(self) -> None:
        """Close the log, if there is one."""
        if self._log:
            self._log.close()


class NotebookFile:
    """Writes a notebook often and cheaply: finished cells are serialised once.

    Args:
        path: Where it is written.
        redactor: Masks every cell before it is written.
        every_s: Seconds between two writes that are not forced.

    """

    def __init__(self, path: Path, redactor: Redactor, every_s: float = 1.0) -> None:
        self.path, self._redactor, self._every_s = path, redactor, every_s
        self._cache: dict[int, str] = {}
        self._last = 0.0

    def save(self, notebook: Any, running: int | None, *, force: bool = False) -> None:
        """Write the notebook unless that was done a moment ago.

        Args:
            notebook: The notebook.
            running: Index of the first cell that may still change; None: none does.
            force: Write in any case, and serialise every cell anew.

        Raises:
            OSError: It could not be written; the file before is untouched.

        """
        clock = time.monotonic()
        if not force and clock - self._last < self._every_s:
            return
        if force:
            self._cache.clear()
        cells = []
        for index, cell in enumerate(notebook["cells"]):
            text = self._cache.get(index)
            if text is None:
                text = self._cell(cell)
                if running is None or index < running:
                    self._cache[index] = text
            cells.append(text)
        rest = {key: value for key, value in notebook.items() if key != "cells"}
        tail = _json(self._redactor.tree(rest))
        body = (
            '{\n"cells": [\n' + ",\n".join(cells) + "\n],\n" + tail[1:].lstrip() + "\n"
        )
        write_atomic(self.path, body)
        self._last = time.monotonic()

    def _cell(self, cell: Any) -> str:
        """Serialise one cell as nbformat does: long texts as lists of lines."""
        clean = self._redactor.tree(cell)
        clean["source"] = _lines(clean["source"])
        for output in clean.get("outputs", []):
            if "text" in output:
                output["text"] = _lines(output["text"])
            for mime, value in output.get("data", {}).items():
                if not mime.endswith("json"):
                    output["data"][mime] = _lines(value)
        return _json(clean)


def _json(node: Any) -> str:
    return json.dumps(node, indent=1, sort_keys=True, ensure_ascii=False)


def _lines(text: Any) -> Any:
    return text.splitlines(keepends=True) if isinstance(text, str) else text
