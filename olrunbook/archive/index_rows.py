"""What the index keeps of a run, and how a question becomes SQL."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from olrunbook.archive.place import RunPlace
from olrunbook.errors import UsageError
from olrunbook.record.files import stamp

UNREADABLE = "unreadable"
ROWS = (
    "SELECT at, run_id, target, app, room, notebook, stamp,"
    " status, seconds, text, who, resumes FROM runs"
)
MIN_REFERENCE = 3
Test = tuple[str, list[str]]  # a condition in SQL, and its values


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the archive; an empty field asks nothing."""

    target: str = ""  # only this target
    app: str = ""  # only this app
    room: str = ""  # only this stage (or the notebook of runs without one)
    notebook: str = ""  # only this notebook
    since: datetime | None = None  # begun at this moment or later (aware)
    until: datetime | None = None  # begun before this moment (aware)
    # only runs that ended so; `""` stands for those without a record
    statuses: tuple[str, ...] = ()
    operator: str = ""  # a part of the operator's name, host, git or AWS identity
    image: str = ""  # an image id, or its beginning
    release: str = ""  # a release's id, its beginning, its end, or `0193…d02`
    limit: int | None = None  # at most so many; None: all


@dataclass(frozen=True, slots=True)
class Row(RunPlace):
    """One run as the index knows it: beside its place what its record says."""

    status: str = ""  # how it ended; empty: it has no record
    seconds: float | None = None
    text: str = ""  # its result, or why it did not end well
    who: str = ""  # who ran it
    resumes: str = ""  # the run that it takes up


def row_of(outputs: Path, line: tuple[Any, ...]) -> Row:
    """Return the row of a line of `ROWS`."""
    at, run_id, target, app, room, notebook, _, *told = line
    began = datetime.strptime(at, "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC)
    folder = outputs / target / app / room / f"{at}_{notebook}_{run_id}"
    return Row(folder, run_id, notebook, target, app, room, began, *told)


# Texts, not paths: these two are called for every run of an archive.
def record_stamp(path: str) -> str:
    """Return what changes when a record does; empty where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return ""
    return f"{found.st_ino}:{found.st_ctime_ns}:{found.st_size}"


def read_facts(path: str, seen: str) -> tuple[Any, ...]:
    """Return stamp, status, seconds, text, who, operator, images, release, resumes."""
    if not seen:
        return ("", "", None, "", "", "", "", "", "")
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            record = json.load(file)
        began, ended = (record[name] for name in ("started_at", "ended_at"))
        took = datetime.fromisoformat(ended) - datetime.fromisoformat(began)
        operator = record.get("operator") or {}
        known = [known["value"] for known in operator.values()]
        known.append(record.get("identity") or "")
        return (
            seen,
            str(record["status"]),
            took.total_seconds(),
            str(record.get("headline") or record.get("cause") or ""),
            str(operator.get("user", {}).get("value", "")),
            " ".join(known).lower(),
            ",".join(record.get("images", {}).values()),
            str(record.get("release") or ""),
            str(record.get("resumes") or ""),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        text = "its run.json cannot be read"
        return (seen, UNREADABLE, None, text, "", "", "", "", "")


def select(tests: list[Test]) -> Test:
    """Return the statement for the rows that pass all tests, and its values."""
    condition = " AND ".join(["1", *(test for test, _ in tests)])
    return f"{ROWS} WHERE {condition}", [v for _, values in tests for v in values]


def pattern(column: str, reference: str) -> Test:
    """Return the SQL by which a column holds an id, its start or end, or `0193…d02`.

    Raises:
        UsageError: It is too short to name one.

    """
    head, middle, tail = reference.lower().partition("…")
    if len(head + tail) < MIN_REFERENCE:
        msg = f"{reference!r} is too short for a run: at least 3 characters of its id"
        raise UsageError(msg, "List them: olrunbook runs")
    end = tail if middle else head
    tests = [(f"({column} >= ? AND {column} < ?)", [head, head + "~"])] if head else []
    tests += [(f"substr({column}, -{len(end)}) = ?", [end])] if end else []
    joined = (" AND " if middle else " OR ").join(test for test, _ in tests)
    return f"({joined})", [value for _, values in tests for value in values]


def name_tests(query: Query) -> list[Test]:
    """Return what of a query the names of directories answer."""
    tests: list[Test] = [
        (f"{column} = ?", [value])
        for column in ("target", "app", "room", "notebook")
        if (value := getattr(query, column))
    ]
    if query.since:
        tests.append(("at >= ?", [stamp(query.since)]))
    if query.until:
        tests.append(("at < ?", [stamp(query.until)]))
    return tests


def record_tests(query: Query) -> list[Test]:
    """Return what of a query only records can answer."""
    tests: list[Test] = []
    if query.statuses:
        marks = ",".join("?" * len(query.statuses))
        tests.append((f"status IN ({marks})", list(query.statuses)))
    if query.operator:
        tests.append(("instr(operator, ?) > 0", [query.operator.lower()]))
    if query.image:
        text = query.image.rstrip("…").partition("=")[2] or query.image.rstrip("…")
        tests.append(("instr(images, ?) > 0", [text]))
    if query.release:
        part, values = pattern("release", query.release)
        own, more = pattern("run_id", query.release)
        whole = f"({part} OR (notebook = 'release' AND {own}))"
        tests.append((whole, [*values, *more]))
    return tests
