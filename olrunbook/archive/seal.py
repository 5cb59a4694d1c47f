"""Make `run.json` from what is on the disk: journal, notebook, files. Nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from olrunbook.archive import chain
from olrunbook.archive.place import (
    HTML,
    NOTEBOOK,
    RECORD,
    RESERVE,
    RunPlace,
    read_record,
)
from olrunbook.pages.run import render
from olrunbook.record import judge
from olrunbook.record.files import as_json, sha256_file, write_atomic
from olrunbook.record.heartbeat import FILE as HEARTBEAT
from olrunbook.record.journal import Journal, read_journal
from olrunbook.record.model import (
    EXIT_CODES,
    FileEntry,
    GateRecord,
    PartRecord,
    RunRecord,
)
from olrunbook.record.shapes import FACTS, notebook_at


def seal(place: RunPlace, *, held: bool = False) -> RunRecord:
    """Write a run's HTML and `run.json`, close it in the chain, return its record.

    The caller may hold the lock of the room's chain (`held`).

    A run that has its record is left as it is: whoever comes second changes nothing.

    Raises:
        OSError: It could not be written.

    """
    room = place.folder.parent
    with nullcontext() if held else chain.locked(room):
        if place.record.exists():
            return _sealed(place)
        notebook = notebook_at(place.folder / NOTEBOOK)
        record = build_record(place, notebook)
        _agree(place.folder / NOTEBOOK, notebook, record)
        for temporary in (HEARTBEAT, RESERVE):
            (place.folder / temporary).unlink(missing_ok=True)
        try:
            write_atomic(place.folder / HTML, render(record, notebook))
        except OSError as error:
            lack = f"notebook.html, which could not be written: {error.strerror}"
            record = record.model_copy(update={"lacks": [*record.lacks, lack]})
        record = record.model_copy(update={"files": _files(place)})
        text = record.model_dump_json(by_alias=True, indent=1) + "\n"
        write_atomic(place.record, text)
        _close(place, hashlib.sha256(text.encode()).hexdigest(), record.status)
    return record


def _close(place: RunPlace, record_sha256: str, status: str, **more: Any) -> None:
    """Enter the end of a run in the chain, whose lock is held."""
    data = {"run_id": place.run_id, "record_sha256": record_sha256, "status": status}
    chain.append(place.folder.parent, "close", held=True, **data, **more)
    place.marker.unlink(missing_ok=True)


def _sealed(place: RunPlace) -> RunRecord:
    """Return the record that is there; whoever wrote it may not have come further."""
    room, found = place.folder.parent, read_record(place)
    if found is None:
        msg = f"{place.record} exists but cannot be read"
        raise OSError(msg)
    if place.marker.exists():
        mine = chain.entries_of(room, place.run_id)
        if all(entry["kind"] != "close" for entry in mine):
            _close(place, sha256_file(place.record), found.status, late=True)
        place.marker.unlink(missing_ok=True)
    return found


def _agree(path: Path, notebook: dict[str, Any], record: RunRecord) -> None:
    """Have the notebook say of the run what its record says."""
    said = notebook.get("metadata", {}).get("olrunbook", {})
    if notebook and said.get("status") != record.status:
        judged = {"status": record.status, "cause": record.cause}
        notebook.setdefault("metadata", {})["olrunbook"] = {**said, **judged}
        write_atomic(path, as_json(notebook) + "\n")


def finish(
    place: RunPlace,
    journal: Journal,
    end: dict[str, Any],
    save: Callable[[], None] = lambda: None,
) -> RunRecord:
    """Write a run's end and seal it, also on a disk that is full by now.

    Before, `save` writes what could not be written.

    Returns:
        The record. Where it could not be written it is not in the archive, and says so:
        the next command that finds room makes one from what is there.

    """
    try:
        (place.folder / RESERVE).unlink(missing_ok=True)
        save()
        journal.add("end", **end)
        return seal(place)
    except OSError as error:
        lack = f"the record could not be finished: {error}"
        status = "failed" if end["status"] == "succeeded" else end["status"]
        found = build_record(place)
        return found.model_copy(
            update={
                "status": status,
                "exit_code": end.get("exit_code", EXIT_CODES[status]),
                "cause": f"{end['cause']}; {lack}" if end["cause"] else lack,
                "finishing": end.get("finishing", []),
                "lacks": [*found.lacks, lack],
            }
        )


def build_record(place: RunPlace, notebook: dict[str, Any] | None = None) -> RunRecord:
    """Return a run's record, its files not listed yet: a function of what is given.

    Its journal is read, and its executed notebook where it is not given.
    """
    if notebook is None:
        notebook = notebook_at(place.folder / NOTEBOOK)
    entries = read_journal(place.folder)
    try:
        return _record(place, notebook, entries)
    except ValidationError as error:
        lack = f"its journal, which was damaged: {error.errors()[0]['msg']}"
        found = _record(place, notebook, [])
        return found.model_copy(update={"lacks": [*found.lacks, lack]})


def _record(
    place: RunPlace, notebook: dict[str, Any], entries: list[dict[str, Any]]
) -> RunRecord:
    opened: dict[str, Any] = {}
    for entry in entries:
        if entry["kind"] in ("release", "run", "begin"):
            opened.update(entry)
    # A release is shown by a notebook whose own parameters are not the release's.
    for entry in entries:
        if entry["kind"] == "release":
            own = ("parameters", "resumes")
            opened.update({name: entry[name] for name in own if name in entry})
    last = {entry["kind"]: entry for entry in entries}
    end, concluded = last.get("end", {}), last.get("conclude", {})
    steps = judge.steps(entries, notebook)
    status, cause = judge.status(end, concluded, steps, begun="begin" in last)
    given = end if status == end.get("status") else {}
    moments = [entry["at"] for entry in entries if "at" in entry]
    moments = moments or [place.at.isoformat()]
    spoilt = sum(entry["kind"] == "unreadable" for entry in entries)
    texts = {"warning": "{text}", "leave": "left running: pid {pid}, {command}"}
    warnings = [texts[e["kind"]].format(**e) for e in entries if e["kind"] in texts]
    lost = [f"{spoilt} lines of its journal, which were damaged"] if spoilt else []
    # Each gate as it was left.
    left = {entry["gate"]: entry for entry in entries if entry["kind"] == "gate"}
    fields = GateRecord.model_fields
    gates = [
        GateRecord(**{k: v for k, v in entry.items() if k in fields})
        for entry in left.values()
    ]
    headline = concluded.get("headline", "" if cause else end.get("cause", ""))
    if headline and any(gate.emergency for gate in gates):
        headline = f"EMERGENCY: {headline}"  # in lists and in its release, too
    return RunRecord(
        run_id=place.run_id,
        notebook=place.notebook,
        target=place.target,
        app=place.app,
        **{name: opened[name] for name in FACTS if name in opened},
        presumed=bool(end.get("presumed")),
        warnings=[*warnings, *end.get("left", [])],
        lacks=[*opened.get("lacks", []), *lost],
        started_at=datetime.fromisoformat(moments[0]),
        ended_at=datetime.fromisoformat(
            end.get("ended_at") or end.get("at", moments[-1])
        ),
        status=status,
        exit_code=given.get("exit_code", EXIT_CODES[status]),
        cause=cause,
        headline=headline,
        steps=steps,
        cells_not_run=judge.cells_not_run(notebook),
        parts=[
            PartRecord(**{k: v for k, v in e.items() if k not in ("at", "kind")})
            for e in entries
            if e["kind"] == "part"
        ],
        gates=gates,
        finishing=[*end.get("finishing", [])]
        or [name for step in steps for name in step.finishing],
        masked=end.get("masked", 0),
    )


def _files(place: RunPlace) -> dict[str, FileEntry]:
    """Return every file of the run but `run.json` itself and what is still written.

    A log named `*.after.log` belongs to a tool that outlived the run.
    """
    listed = {}
    for path in sorted(place.folder.rglob("*")):
        name = path.relative_to(place.folder).as_posix()
        if path.is_file() and name != RECORD and not name.endswith(".after.log"):
            listed[name] = FileEntry(sha256=sha256_file(path), size=path.stat().st_size)
    return listed
