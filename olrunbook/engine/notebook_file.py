"""The executed notebook on the disk: masked, capped, written whole and seldom."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from olrunbook.record.files import as_json, write_atomic
from olrunbook.record.judge import SKIP, skipped
from olrunbook.redact import Redactor

EVERY_S = 1.0  # between two writes that are not forced
# What papermill says of a notebook and of each cell, before it ran.
UNKNOWN = dict.fromkeys(("start_time", "end_time", "duration", "exception"))


def mark_not_run(notebook: Any) -> None:
    """Say of every cell that it has not run, and take its outputs."""
    for cell in notebook["cells"]:
        cell["metadata"]["papermill"] = {**UNKNOWN, "status": "pending"}
        cell["metadata"]["olrunbook"] = {"status": "not-run"}
        if skipped(cell):
            cell["metadata"]["olrunbook"]["cause"] = f"it is tagged {SKIP}"
        if cell["cell_type"] == "code":
            cell["execution_count"], cell["outputs"] = None, []


class NotebookFile:
    """Writes a masked notebook often, cheaply: finished cells are serialised once."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self.path, self._redactor = path, redactor
        self._cache: dict[int, str] = {}
        self._generation = redactor.generation
        self._last = 0.0

    def save(self, notebook: Any, running: int | None, *, force: bool = False) -> None:
        """Write the notebook unless that was done a moment ago (`force`: always).

        `running` is the index of the cell that may still change; None: none does.

        Raises:
            OSError: It could not be written; the file before is untouched.

        """
        clock = time.monotonic()
        if not force and clock - self._last < EVERY_S:
            return
        if self._generation != self._redactor.generation:
            # A value that is known now may stand in a cell that ended before.
            self._generation = self._redactor.generation
            self._cache.clear()
        cells = []
        for index, cell in enumerate(notebook["cells"]):
            text = None if index == running else self._cache.get(index)
            if text is None:
                text = self._cell(cell)
                if index != running:  # one that waits is as it is until it begins
                    self._cache[index] = text
            cells.append(text)
        rest = {key: value for key, value in notebook.items() if key != "cells"}
        tail = as_json(self._redactor.tree(rest))
        body = ",\n".join(cells) + "\n],\n" + tail[1:].lstrip() + "\n"
        write_atomic(self.path, '{\n"cells": [\n' + body)
        self._last = time.monotonic()

    def forget(self, indexes: Iterable[int]) -> None:
        """Take note that cells have changed which do not run."""
        for index in indexes:
            self._cache.pop(index, None)

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
        return as_json(clean)


def _lines(text: Any) -> Any:
    return text.splitlines(keepends=True) if isinstance(text, str) else text
