"""The chain of a room: what was opened, closed and pruned there, and in which order.

`chain.jsonl` has one entry a line; each names the sha256 of the line before it, so none
can be changed, removed or moved without a trace. `chain.head` names the last one. One
writer at a time, on shared folders too; a line cut by a crash is no entry, and the next
writer removes it. `olrunbook.archive.verifier` reads both; docs/trust.md says what they
prove.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from olrunbook.record.files import now, replace_file

CHAIN = "chain.jsonl"
HEAD = "chain.head"
VERIFIER = "verify.py"
NOTHING = "0" * 64  # what the first entry names as the one before it
_BLOCK = 4096  # bytes that are read at a time, from the end


@contextlib.contextmanager
def locked(room: Path) -> Iterator[None]:
    """Hold a room's chain: nobody else appends to it, on any host.

    The lock is the chain file's own and goes with its process. It is not re-entrant:
    call the functions below with `held=True` inside.

    Raises:
        OSError: The chain cannot be written.

    """
    with _file(room) as handle:
        # Not lockf: that lock goes when any reader in the process closes the file.
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _file(room: Path) -> Iterator[int]:
    # Bits as the umask says: an archive may be shared by a group.
    handle = os.open(room / CHAIN, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield handle
    finally:
        os.close(handle)


def opened(room: Path, run_id: str, folder: str, /, **facts: Any) -> None:
    """Enter a run that begins and where it belongs; renew the copy of the verifier.

    Raises:
        OSError: The chain cannot be written.

    """
    append(room, "open", run_id=run_id, folder=folder, **facts)
    with contextlib.suppress(OSError):  # only a copy; an olrunbook brings its own
        renew_verifier(room.parents[2])


def append(
    room: Path, kind: str, /, *, held: bool = False, **data: Any
) -> dict[str, Any]:
    """Add and return an entry; when this returns, it and the head are on the disk.

    Where head and chain do not agree, somebody changed them: an entry `broken` keeps
    what was found, for the head that showed it is about to be written anew.

    Its kind says what happened (`open`, `close`, `after`, `pruned`), or what a person
    said at a gate (`approved`, `rejected`, `used`, `countersigned`). The caller may
    hold the lock (`held`).

    Raises:
        OSError: The chain cannot be written.

    """
    with contextlib.nullcontext() if held else locked(room), _file(room) as handle:
        number, last = _last(handle)
        if found := _disagreement(room, number, last):
            last, _ = _write(room, handle, (number, last), "broken", found)
            number += 1
        return _write(room, handle, (number, last), kind, data)[1]


def entries(room: Path) -> list[dict[str, Any]]:
    """Return a room's entries as they stand; a line cut by a crash is none.

    Whether they are true is the verifier's business; a line that is no JSON is none.
    """
    try:
        raw = (room / CHAIN).read_bytes()
    except OSError:
        return []
    found = []
    for line in raw.split(b"\n")[:-1]:
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict) and isinstance(entry.get("kind"), str):
                found.append(entry)
    return found


def entries_of(room: Path, run_id: str) -> list[dict[str, Any]]:
    """Return the entries of one run."""
    return [entry for entry in entries(room) if entry.get("run_id") == run_id]


def waiting(
    waits: Iterable[str], resumes: Mapping[str, str], said: list[dict[str, Any]]
) -> list[str]:
    """Return the runs that still wait at a gate.

    Args:
        waits: The runs of a room that ended so.
        resumes: Each run of the room, with the one it takes up or none.
        said: The room's entries.

    Returns:
        Of each chain of runs that take up one another the newest, if it is one of them
        and none of the chain was rejected: a rejection is of all of them.

    """

    def first(run: str) -> str:
        """Return the oldest run of a chain; damaged records may form a circle."""
        found = {run}
        while (run := resumes.get(run, "")) and run not in found:
            found.add(run)
        return min(found)

    newest: dict[str, str] = {}
    for run in resumes:
        oldest = first(run)
        newest[oldest] = max(run, newest.get(oldest, ""))
    rejected = {first(str(e.get("run_id"))) for e in said if e["kind"] == "rejected"}
    return [
        run
        for run in waits
        if run == newest.get(first(run), run) and first(run) not in rejected
    ]


def head(room: Path) -> tuple[int, str] | None:
    """Return number and sha256 of the last entry as the head names them, or None."""
    try:
        found = json.loads((room / HEAD).read_bytes())
        return int(found["n"]), str(found["sha256"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def disagreement(room: Path) -> str:
    """Return how head and chain differ; empty: the head names the last entry.

    The caller holds the lock. A head one entry behind is what a killed writer leaves:
    to `verify` it is no fault, and whoever writes next brings it up to date.
    """
    with _file(room) as handle:
        found = _disagreement(room, *_last(handle))
    return str(found.get("text", ""))


def renew_verifier(outputs: Path) -> None:
    """Put the verifier into an archive, where there is none or another one.

    Raises:
        OSError: It could not be written.

    """
    wanted = Path(__file__).with_name("verifier.py").read_bytes()
    path = outputs / VERIFIER
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == wanted:
            return
    replace_file(path, wanted, outputs / f".{VERIFIER}.{os.getpid()}")


def _sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest() if line else NOTHING


def _last(handle: int) -> tuple[int, bytes]:
    """Return number and text of the last whole line; what follows it is cut off."""
    size = start = os.fstat(handle).st_size
    tail = b""
    # Two ends of line, or all of it: a chain of years is not read to add a line.
    while start and tail.count(b"\n") < 2:  # noqa: PLR2004
        end, start = start, max(0, start - _BLOCK)
        tail = os.pread(handle, end - start, start) + tail
    *whole, torn = tail.split(b"\n")
    if torn:
        os.ftruncate(handle, size - len(torn))
        os.fsync(handle)
    last = whole[-1] if whole else b""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        if type(number := json.loads(last)["n"]) is int:  # True is none
            return number, last
    # Spoilt, or none: its place is its number.
    return os.pread(handle, os.fstat(handle).st_size, 0).count(b"\n"), last


def _disagreement(room: Path, number: int, last: bytes) -> dict[str, Any]:
    """Return how head and chain differ, empty where they are as a writer left them."""
    named = head(room)
    if named == (number, _sha256(last)) or (named is None and number <= 1):
        return {}
    if named and last and named[0] == number - 1:
        # The writer before us was killed between its entry and the head.
        with contextlib.suppress(ValueError, AttributeError):
            if json.loads(last).get("prev") == named[1]:
                return {}
    gone = "was damaged" if (room / HEAD).exists() else "was missing"
    said = f"named entry {named[0]}" if named else gone
    text = f"the head {said}, the chain ended at entry {number}"
    if named and named[0] == number:
        text += " with another sha256"
    return {"text": text, "head": list(named or ()), "last": [number, _sha256(last)]}


def _write(
    room: Path, handle: int, last: tuple[int, bytes], kind: str, data: dict[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """Append one line, then name it in the head: both, or neither."""
    number, before = last[0] + 1, _sha256(last[1])
    entry = {"n": number, "prev": before, "at": now(), "kind": kind, **data}
    line = json.dumps(entry, ensure_ascii=False).encode()
    named = (number, _sha256(line))
    end = os.lseek(handle, 0, os.SEEK_END)
    raw = line + b"\n"
    try:
        while raw:  # a disk that fills up takes a part, then says so
            raw = raw[os.write(handle, raw) :]
        os.fsync(handle)
        text = json.dumps({"n": number, "sha256": named[1]}) + "\n"
        replace_file(room / HEAD, text.encode(), room / f".{HEAD}.new")
    except OSError:
        if head(room) != named:
            os.ftruncate(handle, end)
        raise
    return line, entry
