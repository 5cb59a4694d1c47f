"""The journal of a run: masked, fsynced lines of JSON, appended as things happen.

One process writes at a time: the engine opens it, the kernel goes on, the engine closes
it. A line that was cut off by a crash is the last one and is left out when reading.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from olrunbook.record.files import now
from olrunbook.record.shapes import entry_fits
from olrunbook.redact import Redactor

FILE = "journal.jsonl"


class Journal:
    """Appends to the journal of a run, in its directory; every line is masked first."""

    def __init__(self, folder: Path, redactor: Redactor) -> None:
        self.path = folder / FILE
        self._redactor = redactor

    def add(self, kind: str, **data: Any) -> None:
        """Append a line (run, begin, step, part, …) and wait until it is on the disk.

        Raises:
            OSError: It could not be written (disk full, folder gone).

        """
        clean = self._redactor.tree({"at": now(), "kind": kind, **data})
        line = json.dumps(clean, ensure_ascii=False) + "\n"
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            # A writer before us may have been cut off: its half line stays one.
            size = os.fstat(handle).st_size
            cut = size and os.pread(handle, 1, size - 1) != b"\n"
            raw = (b"\n" if cut else b"") + line.encode()
            while raw:  # a disk that fills up takes a part, then says so
                raw = raw[os.write(handle, raw) :]
            os.fsync(handle)
        finally:
            os.close(handle)


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a run's journal; none where there is no journal.

    A line that was damaged, and is none of ours any more, is of the kind `unreadable`.
    """
    try:
        raw = (folder / FILE).read_bytes()
    except OSError:
        return []
    entries = []
    for line in raw.split(b"\n")[:-1]:  # what follows the last newline was cut off
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not entry_fits(entry):
            entry = {"kind": "unreadable", "text": line.decode(errors="replace")}
        entries.append(entry)
    return entries


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person typed about gates and rules when a run was started."""

    gates: str = ""  # stages that get a gate for it, `A,B`
    approve_all: str = ""  # why every gate is approved at once; empty: none is
    # rule to the reason why what it denies is done nevertheless
    overrides: Mapping[str, str] = field(default_factory=dict)


def typed_of(folder: Path) -> Typed:
    """Return what was typed: it stands in the line written before any cell ran."""
    run = next((e for e in read_journal(folder) if e["kind"] == "run"), {})
    texts = str(run.get("gates", "")), str(run.get("approve_all", ""))
    return Typed(*texts, run.get("overrides", {}))
