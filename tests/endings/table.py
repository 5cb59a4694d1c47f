"""The table of docs/endings.md: written by the tests, or compared with them."""

from __future__ import annotations

import os
from dataclasses import astuple, dataclass
from typing import Self

from olrunbook.errors import UsageError
from tests.endings.support import ROOT, Ended, plain

DOCUMENT = ROOT / "docs" / "endings.md"
WRITE = "OLRUNBOOK_WRITE_ENDINGS"
COLUMNS = (
    "what was done",
    "status",
    "cause in the record",
    "exit code",
    "cells not run",
    "processes left",
    "cloud resources left",
    "seconds",
)
HEAD = f"| {' | '.join(COLUMNS)} |"
NONE, NOTHING = "none", "-"


@dataclass
class Row:
    """One ending as it stands in the table."""

    name: str
    status: str
    cause: str
    code: str
    not_run: str
    processes: str
    cloud: str
    seconds: str

    @classmethod
    def of(cls, name: str, ended: Ended, cloud: str = "") -> Self:
        """Return the row of a run.

        Args:
            name: What was done to it.
            ended: How it ended.
            cloud: Cloud resources that were left; empty: it had to do with no cloud.

        """
        record = ended.record
        kept = ", ".join(record.finishing) if record else ""
        nothing = ended.code == UsageError.exit_code
        left = f"{kept}; then none" if ended.left else NONE
        return cls(
            name,
            record.status if record else "nothing ran" if nothing else "no record",
            plain(ended.cause),
            str(ended.code),
            str(record.cells_not_run) if record else "all" if nothing else NOTHING,
            plain(left),
            cloud or NOTHING,
            NOTHING if ended.seconds is None else f"{ended.seconds:.1f}",
        )

    def __str__(self) -> str:
        """Return it as a line of Markdown."""
        return f"| {' | '.join(astuple(self))} |"


class Table:
    """The rows of docs/endings.md."""

    def __init__(self, before: str, rows: dict[str, Row], after: str) -> None:
        self.before, self.rows, self.after = before, rows, after

    @classmethod
    def read(cls) -> Self:
        """Read the committed table."""
        before, head, rest = DOCUMENT.read_text().partition(HEAD)
        assert head, f"{DOCUMENT} has no line {HEAD}"
        _, _, *lines = rest.split("\n")
        count = next(n for n, line in enumerate([*lines, ""]) if not line)
        rows = {}
        for line in lines[:count]:
            cells = line.replace("\\|", "\0").strip("|").split("|")
            row = Row(*(cell.strip().replace("\0", "\\|") for cell in cells))
            rows[row.name] = row
        return cls(before, rows, "\n".join(lines[count:]))

    @classmethod
    def note(cls, row: Row) -> None:
        """Compare one row, or write it where that is asked."""
        found = cls.read()
        found.compare(row)
        if os.environ.get(WRITE):
            found.write()

    def compare(self, row: Row) -> None:
        """Assert that a row is as it was committed, but for the seconds."""
        if os.environ.get(WRITE):
            self.rows[row.name] = row
            return
        known = self.rows.get(row.name)
        assert known is not None, f"not in the table: {row}"
        row.seconds = known.seconds
        assert row == known, f"docs/endings.md is out of date; {WRITE}=1 writes it"

    def write(self) -> None:
        """Write the table anew."""
        rule = "|" + " --- |" * len(COLUMNS)
        lines = [HEAD, rule, *map(str, self.rows.values())]
        DOCUMENT.write_text(self.before + "\n".join(lines) + "\n" + self.after)
