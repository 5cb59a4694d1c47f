"""An index of the archive for readers: a cache that may be thrown away at any time.

Names come from the directories; a record is read when a question needs it, once. A room
whose directory has not changed since is not looked into again. Nothing but reading
relies on it: rules and `verify` look at the files. It lies with the user's cache, not
in the archive, which may be shared or read-only; where it cannot be written, the same
questions are answered from an index in memory.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from olrunbook.archive.index_rows import (
    COLUMNS,
    UNREAD,
    Query,
    Row,
    pattern,
    read_facts,
    record_stamp,
    row_of,
    where_of,
)
from olrunbook.archive.index_store import WRITE, SpoiltError, opened, remove, spoilt
from olrunbook.archive.place import RECORD
from olrunbook.errors import UsageError
from olrunbook.record.files import DIRECTORY

# A directory that changed so short a time ago may change again within the same tick.
SETTLED_NS = 2_000_000_000
BATCH = 500
LOOKS = 3
_FROM = " FROM runs JOIN rooms ON rooms.id = runs.room_id"

Look = Callable[[sqlite3.Connection], list[Row]]


def index_file(outputs: Path, cache: Path) -> Path:
    """Return where the index of an archive lies in the user's cache."""
    digest = hashlib.sha256(str(outputs).encode()).hexdigest()[:16]
    return cache / "index" / f"{digest}.sqlite"


def search(outputs: Path, cache: Path, query: Query) -> list[Row]:
    """Return the runs a query asks for, newest first.

    Raises:
        UsageError: The archive cannot be read.

    """
    return _ask(outputs, cache, lambda db: _search(db, outputs, query))


def find(outputs: Path, cache: Path, reference: str) -> list[Row]:
    """Return the runs a reference fits: an id, its beginning, its end, or `0193…d02`.

    Raises:
        UsageError: The archive cannot be read.

    """
    test, values = pattern("run_id", reference)
    sql = f"SELECT {COLUMNS}{_FROM} WHERE {test} ORDER BY at DESC"
    return _ask(outputs, cache, lambda db: _rows(db, outputs, sql, values))


def _ask(outputs: Path, cache: Path, work: Look) -> list[Row]:
    """Answer from the index; from a new one, or one in memory, where it is no use."""
    path = index_file(outputs, cache)
    for _ in range(2):
        try:
            return _answer(outputs, path, work)
        except (SpoiltError, sqlite3.Error, OSError) as error:
            if not spoilt(error):
                break
            remove(path)
    return _answer(outputs, None, work)


def _answer(outputs: Path, path: Path | None, work: Look) -> list[Row]:
    with closing(opened(path, outputs)) as db:
        _update(db, outputs)
        return work(db)


def _update(db: sqlite3.Connection, outputs: Path) -> None:
    """Bring the names up to date; look only into rooms that changed."""
    there = {place: _seen(path) for place, path in _rooms(outputs)}
    rooms = db.execute("SELECT target, app, room, seen FROM rooms")
    known = {(target, app, room): seen for target, app, room, seen in rooms}
    if there == known and all(there.values()):
        return
    with db:
        db.execute(WRITE)
        for place in known.keys() - there.keys():
            which = "(SELECT id FROM rooms WHERE target=? AND app=? AND room=?)"
            db.execute(f"DELETE FROM runs WHERE room_id = {which}", place)  # noqa: S608
            db.execute("DELETE FROM rooms WHERE target=? AND app=? AND room=?", place)
        for place, seen in there.items():
            if not seen or known.get(place) != seen:
                _update_room(db, outputs, place)


def _update_room(
    db: sqlite3.Connection, outputs: Path, place: tuple[str, str, str]
) -> None:
    db.execute("INSERT OR IGNORE INTO rooms (target, app, room) VALUES (?,?,?)", place)
    (number,) = db.execute(
        "SELECT id FROM rooms WHERE target=? AND app=? AND room=?", place
    ).fetchone()
    path = outputs.joinpath(*place)
    seen = _seen(path)  # before it is read: what comes later is seen the next time
    names = set(_names(path))
    known = {
        f"{at}_{notebook}_{run_id}": (at, run_id, number)
        for at, notebook, run_id in db.execute(
            "SELECT at, notebook, run_id FROM runs WHERE room_id=?", [number]
        )
    }
    gone = [known[name] for name in known.keys() - names]
    db.executemany("DELETE FROM runs WHERE at=? AND run_id=? AND room_id=?", gone)
    new = [
        (found["at"], found["run"], number, found["notebook"])
        for name in names - known.keys()
        if (found := DIRECTORY.fullmatch(name))
    ]
    put = "INSERT OR REPLACE INTO runs (at, run_id, room_id, notebook) VALUES (?,?,?,?)"
    db.executemany(put, new)
    db.execute("UPDATE rooms SET seen=? WHERE id=?", [seen, number])


def _rooms(outputs: Path) -> Iterator[tuple[tuple[str, str, str], Path]]:
    for target in _folders(outputs):
        for app in _folders(outputs / target):
            for room in _folders(outputs / target / app):
                yield (target, app, room), outputs / target / app / room


def _folders(folder: Path) -> list[str]:
    names = (name for name in _names(folder) if not name.startswith("."))
    return [name for name in names if (folder / name).is_dir()]


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  (100,000 paths would take long)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        msg = f"the archive cannot be read: {folder}: {error.strerror}"
        raise UsageError(msg) from None


def _seen(folder: Path) -> str:
    """Return what changes when a room does; empty while it may still change unseen."""
    try:
        found = folder.stat()
    except OSError:
        return ""
    newest = max(found.st_mtime_ns, found.st_ctime_ns)
    if time.time_ns() - newest < SETTLED_NS:
        return ""
    return f"{found.st_ino}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def _search(db: sqlite3.Connection, outputs: Path, query: Query) -> list[Row]:
    if query.asks_records:
        names, values = where_of(query, names_only=True)
        _read(
            db, outputs, f"SELECT {COLUMNS}{_FROM} WHERE {names} AND {UNREAD}", values
        )
    tests, values = where_of(query)
    sql = f"SELECT {COLUMNS}{_FROM} WHERE {tests} ORDER BY at DESC, run_id DESC"
    sql += f" LIMIT {int(query.limit)}" if query.limit is not None else ""
    # What is shown is compared with its file once more: one that changed is read again.
    for _ in range(LOOKS):
        if not _read(db, outputs, sql, values):
            break
    return _rows(db, outputs, sql, values)


def _rows(
    db: sqlite3.Connection, outputs: Path, sql: str, values: list[str]
) -> list[Row]:
    return [row_of(outputs, line) for line in db.execute(sql, values)]


def _read(db: sqlite3.Connection, outputs: Path, sql: str, values: list[str]) -> int:
    """Read the new or changed records of some rows; return how many rows differ now."""
    lines = db.execute(sql, values).fetchall()
    root, changed = str(outputs), 0
    for start in range(0, len(lines), BATCH):
        found = []
        for line in lines[start : start + BATCH]:
            at, run_id, room_id, notebook, target, app, room, seen = line[:8]
            path = f"{root}/{target}/{app}/{room}/{at}_{notebook}_{run_id}/{RECORD}"
            stamp = record_stamp(path)
            if stamp != seen:
                found.append((*read_facts(path, stamp), at, run_id, room_id))
        if found:
            with db:
                db.execute(WRITE)
                db.executemany(
                    "UPDATE runs SET stamp=?, status=?, seconds=?, text=?, who=?,"
                    " operator=?, images=?, release=?, resumes=?"
                    " WHERE at=? AND run_id=? AND room_id=?",
                    found,
                )
            changed += len(found)
    return changed
