"""Find runs that died without a record, and make it for them.

`python -m olrunbook.archive.dead RUN_DIRECTORY`: what a supervisor becomes when its
tool has outlived the run. It enters the late logs into the chain and closes the run if
nobody else is left to do it.
"""

from __future__ import annotations

import re
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from olrunbook.archive import chain
from olrunbook.archive.place import NOTEBOOK, RunPlace, open_runs, place_of
from olrunbook.archive.seal import seal
from olrunbook.archive.supervised import end_left, left, supervised
from olrunbook.processes.system import since
from olrunbook.record.executed import notebook_of
from olrunbook.record.files import as_json, sha256_file, write_atomic
from olrunbook.record.heartbeat import process_facts, read_heartbeat
from olrunbook.record.journal import Journal, read_journal
from olrunbook.record.judge import skipped
from olrunbook.record.model import RunRecord
from olrunbook.record.shapes import notebook_at
from olrunbook.redact import Redactor, new_key

# On another host nobody can look at the process; its sign of life has to do.
PRESUMED = timedelta(minutes=10)

AT_CELL = re.compile(r"cell (\d+)")
SCRATCH = "olrunbook-kernel-"

Life = Literal["alive", "finishing", "dead", "presumed", "closed"]


def life(place: RunPlace, now: datetime | None = None) -> Life:
    """Return whether a run goes on, now (UTC; None: by the clock).

    Returns:
        `closed` (it has its record), `alive`, `finishing` (only its tools are left),
        `dead` (its processes are gone), or `presumed` (on another host, and silent for
        more than ten minutes).

    """
    if place.record.exists():
        return "closed"
    entries = read_journal(place.folder)
    processes = [entry["process"] for entry in entries if entry.get("process")]
    here = process_facts()
    local = [p for p in processes if p.get("host") == here["host"]]
    if len(local) < len(processes) or not processes:
        now = now or datetime.now(UTC)
        return "alive" if now - _last_sign(place, entries) < PRESUMED else "presumed"
    booted = [p for p in local if p.get("boot") == here["boot"]]
    if any(since(process["pid"]) == process["start"] for process in booted):
        return "alive"
    return "finishing" if supervised(place) else "dead"


def _last_sign(place: RunPlace, entries: list[dict[str, Any]]) -> datetime:
    texts = [entry["at"] for entry in entries if "at" in entry]
    texts += [sign["at"]] if (sign := read_heartbeat(place.folder)) else []
    return max(map(datetime.fromisoformat, texts), default=place.at)


def close_dead(outputs: Path) -> list[RunRecord]:
    """Make and return the record of every run that died without one."""
    made = []
    for place in open_runs(outputs):
        state = life(place)
        try:
            if state == "presumed" and not chain.entries_of(
                place.folder.parent, place.run_id
            ):  # killed at its start: nothing ran
                shutil.rmtree(place.folder)
                place.marker.unlink(missing_ok=True)
            elif state in ("dead", "presumed"):
                made.append(close_run(place, presumed=state == "presumed"))
            elif state == "closed":  # its writer was killed before the last line
                seal(place)
        except OSError:
            continue  # a read-only archive is still read
    return made


def close_run(place: RunPlace, *, presumed: bool = False) -> RunRecord:
    """Write the end of a dead run and seal it.

    Raises:
        OSError: It could not be written.

    """
    with chain.locked(place.folder.parent):
        if not place.record.exists():
            entries = read_journal(place.folder)
            _repair_notebook(place, entries)
            if not any(entry["kind"] == "end" for entry in entries):
                end = _end(place, entries, presumed=presumed)
                if not presumed:  # it was on this host
                    end |= _left(place, entries)
                Journal(place.folder, Redactor(new_key())).add("end", **end)
        record = seal(place, held=True)
    clean(place)
    return record


def clean(place: RunPlace) -> None:
    """Remove what the engine and kernel of a run left in the folder for scratch.

    It stays where a tool still works in it, and on the host where it is.
    """
    here = process_facts()["host"]
    for entry in read_journal(place.folder):
        if entry["kind"] == "kernel" and entry["process"]["host"] == here:
            folder = Path(entry["folder"])
            # The journal may have been written by anybody: no other folder is removed.
            if folder.name.startswith(SCRATCH) and not supervised(place):
                shutil.rmtree(folder, ignore_errors=True)


def _end(
    place: RunPlace, entries: list[dict[str, Any]], *, presumed: bool
) -> dict[str, Any]:
    opened: dict[str, Any] = {}
    for entry in entries:
        if entry["kind"] in ("release", "run"):
            opened.update(entry)
    by = opened.get("executed_by", "olrunbook")
    what = "the engine" if by == "olrunbook" else "the kernel"
    sign, last = read_heartbeat(place.folder), _last_sign(place, entries)
    where = f", {sign['where']}" if sign.get("where") else ""
    how = "was killed, or could not write any more"
    if presumed:
        process = opened.get("process") or {}
        how = f"on {process.get('host', 'another host')} gave no more sign of life"
    cause = f"{what} {how}: last sign {last:%Y-%m-%d %H:%M:%S} UTC{where}"
    return {
        "status": "interrupted" if by == "olrunbook" else "kernel-died",
        "cause": cause,
        "ended_at": last.isoformat(timespec="milliseconds"),
        "exit_code": 137 if by == "olrunbook" else 5,
        "presumed": presumed,
        "found_by": process_facts(),
    }


def _left(place: RunPlace, entries: list[dict[str, Any]]) -> dict[str, list[str]]:
    """End what the cells left; in an interactive run only name it."""
    ours = {"kind": "run", "executed_by": "olrunbook"}.items()
    headless = any(ours <= entry.items() for entry in entries)
    found = end_left(place) if headless else left(place)
    return {"left": found} if found else {}


def _repair_notebook(place: RunPlace, entries: list[dict[str, Any]]) -> None:
    """Make the notebook say what did not end; one that nobody wrote is made."""
    path = place.folder / NOTEBOOK
    if any(entry["kind"] == "cell" for entry in entries):
        write_atomic(path, as_json(notebook_of(entries)) + "\n")
        return
    if not (notebook := notebook_at(path)):
        return
    # The notebook is written less often than the sign of life.
    where = AT_CELL.match(read_heartbeat(place.folder).get("where", ""))
    at = int(where[1]) if where else 0
    for number, cell in enumerate(notebook["cells"], 1):
        if skipped(cell):
            continue
        ours = cell.setdefault("metadata", {}).setdefault("olrunbook", {})
        theirs = cell["metadata"].setdefault("papermill", {})
        if number < at and ours.get("status") in ("not-run", "running"):
            lost = "it ended well, for the run went on; its outputs were not saved"
            ours.update(status="done", cause=lost)
            theirs["status"] = "completed"
        elif ours.get("status") == "running" or (
            number == at and ours.get("status") == "not-run"
        ):
            ours["status"] = "interrupted"
            theirs["status"] = "failed"
    notebook.setdefault("metadata", {}).setdefault("papermill", {})["exception"] = True
    write_atomic(path, as_json(notebook) + "\n")


def main(folder: Path) -> None:
    """Enter the late logs of a run into its chain; close it if it is dead."""
    place = place_of(folder)
    if place is None or not place.folder.is_dir():
        return
    mine = chain.entries_of(folder.parent, place.run_id)
    known = {entry.get("file") for entry in mine if entry["kind"] == "after"}
    growing = {kept.late for kept in supervised(place)}
    for log in sorted(place.logs.glob("*.after.log")):
        name = log.relative_to(folder).as_posix()
        if name not in known and log not in growing:
            digest = sha256_file(log)
            chain.append(
                folder.parent, "after", run_id=place.run_id, file=name, sha256=digest
            )
    state = life(place)
    if state in ("dead", "presumed"):
        close_run(place, presumed=state == "presumed")
    elif state == "closed":
        clean(place)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
