"""Check the records and chains of an olrunbook archive, with nothing but its files.

A copy of this file is in every archive; it needs Python, no package, no network.
What is found and what cannot be found: docs/trust.md of olrunbook. In short: the chain
shows every change, unless somebody rewrote the chain from there on; only a head that
was kept elsewhere shows that (--print-head, --head).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

RUN = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ_[a-z][a-z0-9_]*_"
    r"([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"
)
OWN = {"chain.jsonl", "chain.head", ".chain.head.new"}  # what a room has beside runs
RESERVE = ".reserve"  # what a run has before it is in the chain
EXAMPLES = """examples:
  python -I verify.py                           everything in the archive
  python -I verify.py 0193…d02                  one run, and the chain it is in
  python -I verify.py --print-head > kept.txt   keep this elsewhere …
  python -I verify.py --head kept.txt           … what was kept is still there
exit code: 0 all good, 1 something is wrong, 2 wrong usage"""
SHORTEST = 3  # characters of an id that name a run
POOL_FROM = 300  # runs; for fewer a second process costs more than it saves
# What people said at a gate.
DECISIONS = ("approved", "rejected", "used", "countersigned")
Finding = dict[str, str]


def _finding(level: str, room: str, run: str, file: str, text: str) -> Finding:
    return {"level": level, "room": room, "run": run, "file": file, "text": text}


def _read(path: str) -> bytes:
    """Return a file's bytes; of none, of a link and of what is no file: nothing."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags)
    except OSError:
        return b""
    try:
        with os.fdopen(handle, "rb") as source:
            return source.read()
    except OSError:  # a directory, or a disk that cannot be read
        return b""


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _moment(text: Any) -> datetime | None:
    """Return a time with its zone; None where the text is none."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def _digest(path: str) -> tuple[str, int]:
    """Return sha256 and size of a file."""
    handle, size = os.open(path, os.O_RDONLY), 0
    try:
        sha = hashlib.sha256()
        while data := os.read(handle, 1 << 20):
            sha.update(data)
            size += len(data)
        return sha.hexdigest(), size
    finally:
        os.close(handle)


def _walk(path: str, below: str = "") -> Iterator[tuple[str, bool]]:
    """Yield the files of a run with whether each is a plain one."""
    with os.scandir(path) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{below}{entry.name}/")
            else:
                yield below + entry.name, entry.is_file(follow_symlinks=False)


class _Run:
    """One run: its directory, held against its record and the chain.

    `run` is what the chain says: `id`, `close` (sha256 and status, or None), `after`
    (sha256 of each log that was written after the end), `used` (gate, digest, runs,
    emergency or not, and number of approvals of each use).
    """

    def __init__(self, path: str, room: str, run: dict[str, Any]) -> None:
        self.path, self.room, self.run = path, room, run
        self.said: list[Finding] = []
        self.size = self.files = 0

    def say(self, text: str, file: str = "run.json", level: str = "problem") -> None:
        """Say something of a file."""
        self.said.append(_finding(level, self.room, self.run["id"], file, text))

    def check(self) -> tuple[list[Finding], int, int]:
        """Return what is to be said, how many files and bytes were read."""
        found = dict(_walk(self.path))
        if not found.pop("run.json", False):
            if self.run["close"]:
                self.say("was removed: the chain has its end")
            else:
                text = "is still running or was killed: any olrunbook command closes it"
                self.say(f"has no record: it {text}", "", "note")
            return self.said, 0, 0
        raw = _read(f"{self.path}/run.json")
        self.files, self.size = 1, len(raw)
        record = self._record(raw)
        listed = record.get("files")
        if isinstance(listed, dict):
            self._listed(found, listed)
        else:
            self.say("cannot be read: its files cannot be checked")
        return self.said, self.files, self.size

    def _record(self, raw: bytes) -> dict[str, Any]:
        """Return the record, after a look at whose it is."""
        run_id, close = self.run["id"], self.run["close"]
        if not close:
            text = "the end of the run is not in the chain: it was killed just then"
            text += " (any olrunbook command closes it), or the file was put there"
            self.say(text)
        elif hashlib.sha256(raw).hexdigest() != close[0]:
            self.say("was changed: its sha256 is not the one in the chain")
        record = _object(raw) or {}
        if record and record.get("run_id") != run_id:
            text = f"is that of run {record.get('run_id')}: the directories were"
            self.say(f"{text} swapped, or its files replaced")
        elif record and close and record.get("status") != close[1]:
            self.say(f"says {record.get('status')}, the chain says {close[1]}")
        self._gates(record)
        facts = zip(("target", "app", "stage"), self.room.split("/"), strict=True)
        for fact, here in facts:
            if record.get(fact, "") not in ("", here):
                self.say(f"is of {fact} {record[fact]}, but is in {here}")
        return record

    def _gates(self, record: dict[str, Any]) -> None:
        """Hold what a record says of its gates against the approvals in the chain."""
        used = {use[:2]: use[2:] for use in self.run["used"]}
        for runs, _, _ in used.values():
            if record and runs[1:2] not in ([], [record.get("resumes")]):
                self.say(f"does not take up run {runs[1]}, whose approval it used")
        for gate in _list(record.get("gates")):
            if not isinstance(gate, dict) or gate.get("status") != "approved":
                continue
            asked = (str(gate.get("gate")), str(gate.get("digest")))
            text = f"says that gate {gate.get('gate')} was approved; in the chain"
            if asked not in used:
                self.say(f"{text} no approval was used for that")
                continue
            (_, alone, people), wanted = used[asked], gate.get("people")
            if bool(gate.get("emergency")) != alone:
                text += " it was an emergency" if alone else " it was no emergency"
                self.say(text)
            elif not alone and isinstance(wanted, int) and people < wanted:
                self.say(f"{text} {people} of {wanted} people approved it")

    def _listed(self, found: dict[str, bool], listed: dict[str, Any]) -> None:
        """Hold the files that are there against those that were listed."""
        after = self.run["after"]
        for name, plain in sorted(found.items()):
            late = name.endswith(".after.log") and name not in listed
            wanted = listed.get(name, {"sha256": after.get(name)} if late else None)
            if not plain:
                self.say("is not a plain file: it was put there", name)
            elif not isinstance(wanted, dict):
                self.say("was added: the record does not list it", name)
            elif late and not wanted["sha256"]:
                text = "is not in the chain: still being written, or its supervisor"
                self.say(f"{text} was killed", name, "note")
            else:
                self._same(name, wanted)
        for name in sorted({*listed, *after} - set(found)):
            self.say("was removed", name)

    def _same(self, name: str, wanted: dict[str, Any]) -> None:
        try:
            sha, size = _digest(f"{self.path}/{name}")
        except OSError as error:
            self.say(f"cannot be read: {error.strerror}", name)
            return
        self.files, self.size = self.files + 1, self.size + size
        if sha != wanted.get("sha256") or size != wanted.get("size", size):
            self.say("was changed: its sha256 is not the one on record", name)


def _check_runs(jobs: list[Any]) -> list[tuple[list[Finding], int, int]]:
    return [_Run(*job).check() for job in jobs]


class Room:
    """The room `target/app/stage`: its chain, its directories, what is to be said."""

    def __init__(self, outputs: str, name: str) -> None:
        self.name, self.path = name, f"{outputs}/{name}"
        self.said: list[Finding] = []
        self.hashes: list[str] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.missing: list[str] = []  # runs whose directory is gone
        self.strays: dict[str, str] = {}  # where runs lie that are not in the chain
        self.approved: dict[int, dict[str, Any]] = {}  # by number of the entry
        self.spent: set[int] = set()
        self.emergencies: dict[str, tuple[str, str, str]] = {}  # by number of the use
        self.rejected: set[tuple[str, str]] = set()  # run and gate
        self.answered: set[tuple[str, str]] = set()  # likewise: approvals were used
        self.seen = self._look()
        self._read_chain(*self.seen[:2])
        self._compare(self.seen[2])

    def say(self, run: str, file: str, text: str, level: str = "problem") -> None:
        """Say something."""
        self.said.append(_finding(level, self.name, run, file, text))

    def changed(self) -> bool:
        """Whether runs came, ended or went since the room was read."""
        return self._look() != self.seen

    def _look(self) -> tuple[bytes, bytes, dict[str, bool]]:
        """Return chain, head and names as they are between two writers."""
        chain = f"{self.path}/chain.jsonl"
        handle = -1
        try:
            import fcntl  # noqa: PLC0415  (not on every system an auditor may have)

            handle = os.open(chain, os.O_RDONLY)
            for _ in range(100):  # a writer takes milliseconds; a stuck one is passed
                try:
                    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.05)
        except (ImportError, OSError):
            pass  # no chain, or a folder without locks: then nobody writes there
        try:
            with os.scandir(self.path) as entries:
                names = {e.name: e.is_dir(follow_symlinks=False) for e in entries}
            return _read(chain), _read(f"{self.path}/chain.head"), names
        finally:
            if handle >= 0:
                os.close(handle)

    def _read_chain(self, raw: bytes, head: bytes) -> None:
        """Follow the chain from its first line to its head."""
        *whole, torn = raw.split(b"\n")
        before, number = "0" * 64, 1
        elsewhere: Counter[str] = Counter()
        for at, line in enumerate(whole, 1):
            entry = _object(line) or {}
            n = entry.get("n")
            if not isinstance(n, int) or not isinstance(entry.get("kind"), str):
                self.chain(f"line {at} was changed: it is not an entry")
                n, entry = number, {}
            elif n > number:
                self.chain(f"entries {number} to {n - 1} were removed before line {at}")
            elif n < number:
                self.chain(f"line {at} (entry {n}) was inserted there, or moved")
            elif entry.get("prev") != before:
                text = f"line {at - 1} was changed" if at > 1 else "line 1 was changed"
                self.chain(f"{text}: line {at} names another sha256 before it")
            before, number = hashlib.sha256(line).hexdigest(), n + 1
            self.hashes.append(before)
            self._enter(entry, at)
            if entry.get("kind") == "open":
                place = "/".join(str(entry.get(k)) for k in ("target", "app", "room"))
                if place != self.name:
                    elsewhere[place] += 1
        for place, count in elsewhere.items():
            text = f"{count} of its runs were opened in {place}: chain or folder was"
            self.chain(f"{text} moved or copied here")
        if torn:
            text = "its last line was cut off while written: it is not an entry"
            self.chain(text, "note")
        self._check_head(head, whole)

    def chain(self, text: str, level: str = "problem", run: str = "") -> None:
        """Say something about the chain."""
        self.say(run, "chain.jsonl", text, level)

    def _check_head(self, raw: bytes, whole: list[bytes]) -> None:
        count, last = len(whole), (self.hashes or ["0" * 64])[-1]
        found = _object(raw) or {}
        named = (found.get("n"), found.get("sha256"))
        if named == (count, last) or (not raw and not count):
            return
        level = "problem"
        if not raw and "chain.head" not in self.seen[2]:
            level = "note" if count == 1 else "problem"
            text = "is gone" if count > 1 else "is not there yet"
        elif not self.seen[0]:
            text = f"names entry {named[0]}, but the chain is gone"
        elif named == (count - 1, (["0" * 64, *self.hashes])[-2]):
            level, text = "note", "lags one entry behind: its writer was killed then"
        elif isinstance(named[0], int) and named[0] > count:
            text = f"names entry {named[0]}, but the chain ends at entry {count}"
            text += ": its end was removed"
        else:
            text = f"names entry {named[0]} with another sha256 than entry {count}"
            text += " has: last line or head was changed"
        self.say("", "chain.head", text, level)

    def _enter(self, entry: dict[str, Any], at: int) -> None:
        """Take note of what an entry says about a run."""
        kind, run_id = str(entry.get("kind")), str(entry.get("run_id"))
        run = self.runs.get(run_id)
        if kind == "broken":
            self.chain(f"line {at}: the next writer found that {entry.get('text')}")
        elif kind == "open":
            folder = str(entry.get("folder"))
            if run:
                self.chain(f"line {at} opens the run a second time", run=run_id)
            elif not folder.endswith(run_id):
                self.chain(f"line {at} opens the run in {folder}", run=run_id)
            new = {"id": run_id, "folder": folder, "close": None, "pruned": False}
            self.runs.setdefault(run_id, {**new, "after": {}, "used": []})
        elif kind in ("close", "after", "pruned", *DECISIONS) and run is None:
            self.chain(f"line {at} is of a run that was never opened", run=run_id)
        elif run and kind in DECISIONS:
            self._decision(run, entry, at)
        elif run:
            self._go_on(run, entry, at)

    def _go_on(self, run: dict[str, Any], entry: dict[str, Any], at: int) -> None:
        close = (entry.get("record_sha256"), entry.get("status"))
        if entry["kind"] == "after":
            run["after"][str(entry.get("file"))] = entry.get("sha256")
        elif entry["kind"] == "close":
            if run["close"] and run["close"] != close:
                self.chain(f"line {at} closes the run a second time", run=run["id"])
            run["close"] = run["close"] or close
        elif entry["kind"] == "pruned":
            run["pruned"] = True
            if run["close"] and close[0] != run["close"][0]:
                self.chain(f"line {at} prunes another record", run=run["id"])

    def _decision(self, run: dict[str, Any], entry: dict[str, Any], at: int) -> None:
        """Take note of a decision; an approval is used once, by the run it is for."""
        gate, digest = str(entry.get("gate")), str(entry.get("digest"))
        runs = list(map(str, _list(entry.get("runs"))))
        if entry["kind"] == "approved":
            signed, mine = self.approved.items(), entry.get("signature")
            if copies := [n for n, e in signed if mine and e.get("signature") == mine]:
                text = f"line {at} is a copy of the approval of entry {copies[0]}"
                self.chain(text, run=run["id"])
            self.approved[int(entry["n"])] = entry
        elif entry["kind"] == "rejected":
            self.rejected |= {(one, gate) for one in [run["id"], *runs]}
        elif entry["kind"] == "countersigned":
            of = entry.get("of")
            if (run["id"], gate, digest) != self.emergencies.get(str(of)):
                text = f"line {at} countersigns entry {of}, which is no emergency of it"
                self.chain(text, run=run["id"])
        else:
            numbers = _list(entry.get("approvals"))
            wrong = [self._use(n, entry, runs) for n in numbers if isinstance(n, int)]
            if runs[:1] != [run["id"]] or not wrong or len(wrong) < len(numbers):
                wrong.append("names no approval")
            for text in filter(None, wrong):
                self.chain(f"line {at} {text}", run=run["id"])
            found = [self.approved.get(n, {}) for n in numbers if isinstance(n, int)]
            alone = any(one.get("emergency") for one in found)
            if alone:
                self.emergencies[str(entry.get("n"))] = (run["id"], gate, digest)
            run["used"].append((gate, digest, runs, alone, len(found)))
            self.answered |= {(one, gate) for one in runs}

    def _use(self, number: int, entry: dict[str, Any], runs: list[str]) -> str:
        """Return what is wrong with the use of an approval; empty: nothing."""
        found = self.approved.get(number)
        if found is None:
            return f"uses entry {number}, which is no approval"
        again = number in self.spent
        self.spent.add(number)
        used, end = _moment(entry.get("at")), _moment(found.get("until"))
        here = [(run, str(found.get("gate"))) for run in runs]
        faults = {
            "a second time": again,
            "of a run whose approvals were used before": (
                (str(found.get("run_id")), str(found.get("gate"))) in self.answered
            ),
            "that is for another run": str(found.get("run_id")) not in runs,
            "that is of another preview": any(
                found.get(name) != entry.get(name) for name in ("gate", "digest")
            ),
            "that was rejected": not self.rejected.isdisjoint(here),
            "after it had expired": used is None or end is None or used >= end,
        }
        text = next((text for text, wrong in faults.items() if wrong), "")
        return text and f"uses the approval of entry {number} {text}"

    def _compare(self, names: dict[str, bool]) -> None:
        """Hold the room's directories against its chain."""
        by_folder = {run["folder"]: run for run in self.runs.values()}
        for folder, run in by_folder.items():
            if run["pruned"] and folder in names:
                text = f"{folder} exists, but the chain says it was pruned: prune was"
                self.say(
                    run["id"], "", f"{text} cut off (repeat it), or it was put back"
                )
            elif not run["pruned"] and not names.get(folder):
                self.missing.append(run["id"])
        for name, is_dir in sorted(names.items()):
            if name in by_folder or name in OWN:
                continue
            path = f"{self.path}/{name}"
            files = {f for f, _ in _walk(path)} - {RESERVE} if is_dir else set()
            fits = RUN.fullmatch(name)
            run_id = fits[1] if fits else ""
            if not is_dir:
                self.say("", name, "is not part of the archive", "note")
            elif not files and fits:
                text = f"{name} is empty: the run was killed at its start"
                self.say(run_id, "", text, "note")
            elif not fits and "run.json" not in files:
                self.say("", name, "is not the directory of a run", "note")
            else:
                record = _object(_read(f"{path}/run.json")) or {}
                own = "/".join(str(record.get(k, "?")) for k in ("target", "app"))
                text = (
                    f"{name} is not in this folder's chain: added, copied or moved here"
                )
                claim = f"{record.get('run_id')} of {own} {record.get('stage', '')}"
                said = f"; its record is that of run {claim.strip()}" if record else ""
                self.say(run_id, "", text + said)
                self.strays[str(record.get("run_id", run_id))] = f"{self.name}/{name}"

    def check(self, only: str = "") -> list[Finding]:
        """Return what is to be said about the room's runs, or about one of them."""
        return [f for part in _check_runs(self.jobs(only)) for f in part[0]]

    def jobs(self, only: str = "") -> list[Any]:
        """Return what is to be read: the runs that are there, or one of them."""
        return [
            (f"{self.path}/{run['folder']}", self.name, run)
            for run in self.runs.values()
            if not run["pruned"]
            and self.seen[2].get(run["folder"])
            and only in ("", run["id"])
        ]


def rooms(outputs: str) -> tuple[list[str], list[Finding]]:
    """Return the rooms of an archive, and what lies where no run can lie."""
    found: list[str] = [""]
    said: list[Finding] = []
    for depth in range(3):
        level: list[str] = []
        for above in found:
            with os.scandir(f"{outputs}/{above}") as entries:
                for entry in entries:
                    name = f"{above}/{entry.name}".lstrip("/")
                    if RUN.fullmatch(entry.name):
                        text = "is in no stage's folder: it was moved or copied there"
                        said.append(_finding("problem", above, "", name, text))
                    elif entry.is_dir() and (depth or not entry.name.startswith(".")):
                        level.append(name)
        found = level
    return sorted(found), said


def resolve(outputs: str, reference: str) -> list[tuple[str, str]]:
    """Return room and id of the runs a reference fits.

    It is an id, its first or last characters (3 or more), `0193…d02`, or a directory.
    """
    path = Path(reference).absolute()
    if RUN.fullmatch(path.name) and path.is_dir():
        return [("/".join(path.parts[-4:-1]), path.name[-36:])]
    head, dots, tail = reference.partition("…")
    found = set()
    for room in rooms(outputs)[0]:
        names = [entry.name for entry in Path(outputs, room).iterdir()]
        ids = {fits[1] for fits in map(RUN.fullmatch, names) if fits}
        ids |= set(Room(outputs, room).runs)
        for run_id in ids:
            whole = run_id.startswith(head) and run_id.endswith(tail)
            part = run_id.startswith(head) or run_id.endswith(head)
            if whole if dots else part and len(head) >= SHORTEST:
                found.add((room, run_id))
    return sorted(found)


def _run_all(jobs: list[Any]) -> list[tuple[list[Finding], int, int]]:
    """Check runs, with more than one processor where that pays."""
    workers = min(4, os.cpu_count() or 1)
    # A process with threads (a notebook's) must not be forked.
    if len(jobs) >= POOL_FROM and workers > 1 and threading.active_count() == 1:
        try:
            from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415
            from multiprocessing import get_context  # noqa: PLC0415

            parts = [jobs[n : n + 100] for n in range(0, len(jobs), 100)]
            with ProcessPoolExecutor(workers, get_context("fork")) as pool:
                return [said for part in pool.map(_check_runs, parts) for said in part]
        except (ImportError, OSError, ValueError):
            pass  # no fork here: one processor does it too
    return _check_runs(jobs)


def verify(outputs: str, reference: str = "", kept: str = "") -> dict[str, Any]:
    """Check an archive, or one run of it and the chain it is in.

    Args:
        outputs: The archive.
        reference: A run, as `resolve` takes it; empty: everything.
        kept: A sha256 or a text (what --print-head printed) that was kept elsewhere.

    Returns:
        `good`, `head` (of all rooms), `rooms` (with their heads), how many `runs`,
        `files`, `bytes` and `entries` were read, `problems` and `notes`.

    Raises:
        LookupError: None or more than one run fits the reference.
        OSError: There is no such archive.

    """
    names, said = rooms(outputs)
    only = ""
    if reference:
        fits = resolve(outputs, reference)
        if len({run_id for _, run_id in fits}) != 1:
            msg = f"{len(fits) or 'no'} run{'s' * (len(fits) != 1)} match {reference!r}"
            raise LookupError(msg)
        # A run that was copied is in two rooms; both are looked at.
        names, only, said = [room for room, _ in fits], fits[0][1], []
    found = [Room(outputs, name) for name in names]
    results = _run_all([job for room in found for job in room.jobs(only)])
    checked: list[tuple[list[Finding], int, int]] = []
    for number, first in enumerate(found):
        room = first
        count = len(room.jobs(only))
        mine, results = results[:count], results[count:]
        for _ in range(3):  # runs that came or ended meanwhile are looked at again
            bad = room.said or room.missing or any(part[0] for part in mine)
            if not bad or not room.changed():
                break
            room = found[number] = Room(outputs, room.name)
            mine = _check_runs(room.jobs(only))
        said += room.said + [finding for part in mine for finding in part[0]]
        checked += mine
    said += _missing(found)
    if only:  # the chain is one for all; the other runs are not asked about
        said = [f for f in said if f["run"] in ("", only)]
    said += _check_kept(found, kept) if kept else []
    problems = [f for f in said if f["level"] == "problem"]
    return {
        "good": not problems,
        "head": _head(found),
        "rooms": [
            {"room": room.name, "n": len(room.hashes), "sha256": room.hashes[-1]}
            for room in found
            if room.hashes
        ],
        "runs": len(checked),
        "files": sum(files for _, files, _ in checked),
        "bytes": sum(size for _, _, size in checked),
        "entries": sum(len(room.hashes) for room in found),
        "problems": problems,
        "notes": [f for f in said if f["level"] == "note"],
    }


def _missing(found: list[Room]) -> list[Finding]:
    """Return the runs whose directory is gone, and where it lies now."""
    strays = {run: place for room in found for run, place in room.strays.items()}
    said = []
    for room in found:
        for run in room.missing:
            text = f"its directory {room.runs[run]['folder']} was removed"
            if run in strays:
                text = f"its directory was moved to {strays[run]}"
            said.append(_finding("problem", room.name, run, "", text))
    return said


def _head(found: list[Room]) -> str:
    chains = sorted((r.name, len(r.hashes), r.hashes[-1]) for r in found if r.hashes)
    text = "".join(f"{room} {n} {sha}\n" for room, n, sha in chains)
    raw = text.encode(errors="surrogateescape")  # a name may be no text
    return hashlib.sha256(raw).hexdigest()


def _check_kept(found: list[Room], kept: str) -> list[Finding]:
    """Return whether what was kept elsewhere is still in the chains."""
    said, by_name = [], {room.name: room for room in found}
    for words in map(str.split, kept.splitlines()):
        level, where, text = "problem", "", ""
        if len(words) == 3 and words[1].isdecimal():  # noqa: PLR2004
            where, n = words[0], int(words[1])
            if where not in by_name:
                text = f"the folder is gone: entry {n} of it was kept"
            elif by_name[where].hashes[n - 1 : n] != [words[2]]:
                text = f"entry {n} is not the one kept: the chain was cut or rewritten"
            else:
                level, text = "note", f"the kept head is entry {n}"
        elif len(words) == 1:
            text = f"no chain has an entry with the sha256 {words[0]}"
            for room in found:
                if words[0] in room.hashes:
                    n = room.hashes.index(words[0]) + 1
                    level, where = "note", room.name
                    text = f"entry {n} has the sha256 {words[0]}"
            if words[0] == _head(found):
                level = "note"
                text = f"the whole archive is as it was with the head {words[0]}"
        if text:
            said.append(_finding(level, where, "", "chain.jsonl", text))
    return said


def heads(report: dict[str, Any]) -> str:
    """Return what is to be kept elsewhere: a line a room, and one for all of them."""
    rows = [f"{r['room']} {r['n']} {r['sha256']}" for r in report["rooms"]]
    return "\n".join([*rows, f"archive {report['head']}"])


def lines(report: dict[str, Any]) -> list[str]:
    """Return a report as a person reads it, the answer first."""
    wrong, size = len(report["problems"]), report["bytes"] / 1e6
    first = "All good" if report["good"] else f"WRONG in {wrong} places"
    text = f"{first}: {report['runs']} runs, {report['files']} files ({size:.1f} MB), "
    said = [f"{text}{report['entries']} entries of {len(report['rooms'])} chains."]
    for finding in report["problems"] + report["notes"]:
        run = f"run {finding['run']}" if finding["run"] else ""
        where = " · ".join(filter(None, (finding["room"], run, finding["file"])))
        mark = "✗" if finding["level"] == "problem" else "note"
        said.append(f"  {mark} {where}: {finding['text']}")
    # A file's name may hold what a terminal obeys.
    return ["".join(c if c.isprintable() else "?" for c in line) for line in said]


def read_kept(head: str | None) -> str:
    """Return what was kept: a sha256 as it is, else what the file of the name says.

    Of None, that nothing was kept.

    Raises:
        OSError: It is no sha256, and there is no such file.

    """
    if head is None:
        return ""
    if re.fullmatch(r"[0-9a-f]{64}", head):
        return head
    if not head:
        msg = "--head is empty: it must be a sha256 or a file"
        raise OSError(msg)
    kept = Path(head).read_text(encoding="utf-8")
    if not re.search(r"\b[0-9a-f]{64}\b", kept):
        msg = "it holds no head"
        raise OSError(msg)
    return kept


def main(argv: list[str] | None = None) -> int:
    """Check the archive this file is in, say what was found, return the exit code."""
    parser = argparse.ArgumentParser(
        prog="verify.py",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    here = str(Path(__file__).absolute().parent)
    parser.add_argument("run", nargs="?", default="", help="id, part of it, or folder")
    parser.add_argument("--all", action="store_true", help="everything (the default)")
    parser.add_argument("--archive", default=here, help="default: this folder")
    text = "check that this sha256, or the file of --print-head, fits the chains"
    parser.add_argument("--head", metavar="HASH|FILE", help=text)
    parser.add_argument("--print-head", action="store_true", help="what to keep")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(argv)
    if not given.archive:
        parser.error("--archive is empty: it must be a folder")
    if given.run and given.all:
        parser.error("give a run or --all, not both")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without our marks
    try:
        report = verify(given.archive, given.run, read_kept(given.head))
    except (LookupError, OSError, UnicodeDecodeError) as error:
        parser.error(str(error))
    return tell(report, as_json=given.json, print_head=given.print_head)


def tell(report: dict[str, Any], *, as_json: bool, print_head: bool) -> int:
    """Print a report, as JSON or only what is to be kept; return the exit code."""
    text = "\n".join(lines(report)) + "\n"
    if as_json:
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    elif print_head:
        sys.stdout.write(heads(report) + "\n")
        if not report["good"]:
            sys.stderr.write(text)
    else:
        sys.stdout.write(text)
    return 0 if report["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
