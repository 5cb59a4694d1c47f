"""What of a run still goes on: tools under their supervisors, children of its cells."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from olrunbook.archive.place import RunPlace
from olrunbook.processes.left import carriers, end_carriers
from olrunbook.processes.system import commands
from olrunbook.record.journal import read_journal

MODULE = "olrunbook.processes.supervisor"
HURRY_S = 2.0  # how long a supervisor may need to begin its late log


@dataclass(frozen=True, slots=True)
class Kept:
    """A tool that is kept by its supervisor."""

    pid: int  # the supervisor's process
    log: Path  # the tool's log; the supervisor's last argument

    @property
    def late(self) -> Path:
        """The log that is written once the run may be sealed."""
        return self.log.with_suffix(".after.log")

    def __str__(self) -> str:
        """Return it as it stands in a record."""
        return f"{self.log.stem} under its supervisor (pid {self.pid})"


def supervised(place: RunPlace) -> list[Kept]:
    """Return the tools of a run whose supervisors are there.

    A process which only has to be reaped is none: it has no command line.
    """
    inside = f"{place.logs}{os.sep}"
    found = [
        Kept(pid, Path(words[-1]))
        for pid, words in commands()
        if MODULE in words and words[-1].startswith(inside)
    ]
    return sorted(found, key=lambda kept: kept.pid)


def settle(place: RunPlace, wait_s: float) -> list[str]:
    """Wait `wait_s` seconds for a run's tools; have those that are left go on aside.

    Returns:
        What is still finishing. From now on it writes into late logs, so that the run
        can be sealed.

    """
    left = _until(lambda: supervised(place), wait_s)
    for kept in left:
        try:
            os.kill(kept.pid, signal.SIGUSR1)
        except ProcessLookupError:
            continue
    _until(lambda: [k for k in supervised(place) if not k.late.exists()], HURRY_S)
    return [str(kept) for kept in supervised(place)]


def _until(look: Callable[[], list[Kept]], wait_s: float) -> list[Kept]:
    """Look again and again until nothing is found or the time is over."""
    end = time.monotonic() + wait_s
    while (found := look()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def end_left(place: RunPlace) -> list[str]:
    """End what the cells of a run started and left, but for what is meant to stay.

    Returns:
        What was left and how it ended, in sentences.

    """
    said: list[str] = []
    end_carriers(place.run_id, said.append, _staying(place))
    return said


def left(place: RunPlace) -> list[str]:
    """Return what the cells of a run started and left; nothing is done to it."""
    found = carriers(place.run_id, _staying(place))
    return [f"left running by a cell: {carrier}" for carrier in found]


def _staying(place: RunPlace) -> list[tuple[int, str]]:
    """Return what a run declared to stay, by pid and beginning."""
    return [
        (entry["pid"], entry["began"])
        for entry in read_journal(place.folder)
        if entry["kind"] == "leave"
    ]
