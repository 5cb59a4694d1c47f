"""The file of the index: private, known by its version, thrown away when spoilt."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

TABLES = Path(__file__).with_name("index.sql")
SCHEMA = 2
BUSY_S = 5.0
WRITE = "BEGIN IMMEDIATE"  # a transaction with the right to write from its beginning
SPOILT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}


class SpoiltError(Exception):
    """The index is of another version or archive."""


def spoilt(error: Exception) -> bool:
    """Whether an index that answers so is to be thrown away.

    One that is busy, or lies on a disk that is full or read-only, is not.
    """
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, SpoiltError) or (
        code is not None and code & 0xFF in SPOILT
    )


def remove(path: Path) -> None:
    """Throw an index away."""
    for end in ("-wal", "-shm", ""):
        try:
            path.with_name(path.name + end).unlink(missing_ok=True)
        except OSError:
            return  # then it will not open either, and memory has to do


def opened(path: Path | None, archive: Path) -> sqlite3.Connection:
    """Open an archive's index (no path: in memory); make its tables where it is new.

    Raises:
        SpoiltError: It is of another version or archive.
        sqlite3.Error: It cannot be used.
        OSError: It cannot be made.

    """
    if path:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # sqlite would make it as the umask says; what lies beside it follows suit.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path or ":memory:", timeout=BUSY_S, isolation_level=None)
    try:
        _prepare(db, str(archive))
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, archive: str) -> None:
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
