"""Files that are whole or absent, and how ids and times are written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DIRECTORY = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)_(?P<notebook>[a-z][a-z0-9_]*)_"
    r"(?P<run>[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"
)


def new_run_id(clock_ns: int | None = None) -> str:
    """Return a UUIDv7 (RFC 9562): sortable by its millisecond, then random.

    Its clock counts nanoseconds since the epoch; None: now.
    """
    milliseconds = (time.time_ns() if clock_ns is None else clock_ns) // 1_000_000
    random = int.from_bytes(os.urandom(10))
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 7 << 76 | (random >> 68 & 0xFFF) << 64
    value |= 0b10 << 62 | random & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def short(run_id: str) -> str:
    """Return a run id as it is shown: shortened in the middle.

    Its head is the same for weeks; the six random digits at its end tell runs apart.
    """
    return f"{run_id[:4]}…{run_id[-6:]}"


def stamp(at: datetime) -> str:
    """Return a time as it stands in directory names: UTC, seconds, no colons."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def now() -> str:
    """Return the present as it stands in records: UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def minute(at: datetime) -> str:
    """Return a time as people read it: UTC, to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def as_json(node: Any) -> str:
    """Return JSON as a notebook's file has it: the same for the same content."""
    return json.dumps(node, indent=1, sort_keys=True, ensure_ascii=False)


def write_atomic(path: Path, data: str | bytes, mode: int = 0o644) -> None:
    """Replace a file in one step: a reader sees the old or the new, never half.

    Its folder exists; a text is written as UTF-8.

    Raises:
        OSError: It could not be written; the old file is untouched.

    """
    raw = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    replace_file(path, raw, Path(temporary), mode)


def replace_file(path: Path, data: bytes, aside: Path, mode: int | None = None) -> None:
    """Write a file aside, then put it in place: a reader sees the old or the new.

    `aside` is in the same folder. Without a mode, permissions are as the umask says.

    Raises:
        OSError: It could not be written; the old file is untouched.

    """
    try:
        with aside.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        if mode is not None:
            aside.chmod(mode)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    fsync_path(path.parent)


def fsync_path(path: Path) -> None:
    """Have a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes (hex)."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
