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
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from olrunbook.archive.index_rows import (
    Query,
    Row,
    name_tests,
    pattern,
    read_facts,
    record_stamp,
    record_tests,
    row_of,
    select,
)
from olrunbook.archive.place import RECORD
from olrunbook.errors import UsageError
from olrunbook.record.files import DIRECTORY

# A directory that changed so short a time ago may change again within the same tick.
SETTLED_NS = 2_000_000_000
BATCH = 500
LOOKS = 3
TABLES = Path(__file__).with_name("index.sql")
SCHEMA = 3
BUSY_S = 5.0
WRITE = "BEGIN IMMEDIATE"  # a transaction with the right to write from its beginning
SPOILT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
OF_ROOM = "target=? AND app=? AND room=?"

Look = Callable[[sqlite3.Connection], list[Row]]


class SpoiltError(sqlite3.DatabaseError):
    """The index is of another version or archive: as good as none."""

    sqlite_errorcode = sqlite3.SQLITE_NOTADB


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
    sql, values = select([pattern("run_id", reference)])
    sql += " ORDER BY at DESC"
    return _ask(outputs, cache, lambda db: _rows(db, outputs, sql, values))


def _ask(outputs: Path, cache: Path, work: Look) -> list[Row]:
    """Answer from the index; from a new one, or one in memory, where it is no use."""
    path = index_file(outputs, cache)
    for _ in range(2):
        try:
            return _answer(outputs, path, work)
        except (sqlite3.Error, OSError) as error:
            # One that is busy, or on a disk that is full or read-only, is left alone.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in SPOILT:
                break
            _remove(path)
    return _answer(outputs, None, work)


def _answer(outputs: Path, path: Path | None, work: Look) -> list[Row]:
    """Answer from the index in a file; without one, from one in memory."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # sqlite would make it as the umask says; what lies beside it follows suit.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path or ":memory:", timeout=BUSY_S, isolation_level=None)
    with closing(db):
        _prepare(db, str(outputs))
        _update(db, outputs)
        return work(db)


def _remove(path: Path) -> None:
    for end in ("-wal", "-shm", ""):
        try:
            path.with_name(path.name + end).unlink(missing_ok=True)
        except OSError:
            return  # then it will not open either, and memory has to do


def _prepare(db: sqlite3.Connection, archive: str) -> None:
    """Make the tables where the index is new; see that it is ours."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if not version:
        db.execute("PRAGMA journal_mode = WAL")
        with db:
            db.execute(WRITE)
            for table in TABLES.read_text(encoding="utf-8").split(";"):
                db.execute(table)
            if not db.execute("SELECT 1 FROM about").fetchone():
                db.execute("INSERT INTO about VALUES (?)", [archive])
            db.execute(f"PRAGMA user_version = {SCHEMA}")
    elif version != SCHEMA:
        raise SpoiltError
    if db.execute("SELECT archive FROM about").fetchall() != [(archive,)]:
        raise SpoiltError
    db.execute("PRAGMA synchronous = NORMAL")


def _update(db: sqlite3.Connection, outputs: Path) -> None:
    """Bring the names up to date; look only into rooms that changed."""
    there = {
        (target, app, room): _seen(outputs / target / app / room)
        for target in _folders(outputs)
        for app in _folders(outputs / target)
        for room in _folders(outputs / target / app)
    }
    rooms = db.execute("SELECT target, app, room, seen FROM rooms")
    known = {(target, app, room): seen for target, app, room, seen in rooms}
    if there == known and all(there.values()):
        return
    with db:
        db.execute(WRITE)
        for place in known.keys() - there.keys():
            db.execute(f"DELETE FROM runs WHERE {OF_ROOM}", place)  # noqa: S608
            db.execute(f"DELETE FROM rooms WHERE {OF_ROOM}", place)  # noqa: S608
        for place, seen in there.items():
            if not seen or known.get(place) != seen:
                _update_room(db, outputs, place)


def _update_room(
    db: sqlite3.Connection, outputs: Path, place: tuple[str, str, str]
) -> None:
    path = outputs.joinpath(*place)
    seen = _seen(path)  # before it is read: what comes later is seen the next time
    there = {
        (found["at"], found["run"], found["notebook"])
        for found in map(DIRECTORY.fullmatch, _names(path))
        if found
    }
    sql = f"SELECT at, run_id, notebook FROM runs WHERE {OF_ROOM}"  # noqa: S608
    known = set(db.execute(sql, place))
    names = f"at=? AND run_id=? AND notebook=? AND {OF_ROOM}"
    gone = [(*name, *place) for name in known - there]
    db.executemany(f"DELETE FROM runs WHERE {names}", gone)  # noqa: S608
    db.executemany(
        "INSERT OR REPLACE INTO runs (at, run_id, notebook, target, app, room)"
        " VALUES (?,?,?,?,?,?)",
        [(*name, *place) for name in there - known],
    )
    db.execute("INSERT OR REPLACE INTO rooms VALUES (?,?,?,?)", (*place, seen))


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
    names, told = name_tests(query), record_tests(query)
    if told:
        _read(db, outputs, *select([*names, ("stamp = ''", [])]))
    sql, values = select([*names, *told])
    sql += " ORDER BY at DESC, run_id DESC"
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
            at, run_id, target, app, room, notebook, seen = line[:7]
            path = f"{root}/{target}/{app}/{room}/{at}_{notebook}_{run_id}/{RECORD}"
            stamp = record_stamp(path)
            if stamp != seen:
                found.append((*read_facts(path, stamp), *line[:5]))
        if found:
            with db:
                db.execute(WRITE)
                db.executemany(
                    "UPDATE runs SET stamp=?, status=?, seconds=?, text=?, who=?,"
                    " operator=?, images=?, release=?, resumes=?"
                    " WHERE at=? AND run_id=? AND target=? AND app=? AND room=?",
                    found,
                )
            changed += len(found)
    return changed
