"""Processes whose parents are gone: what a tool left, and a tool that was left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from olrunbook.processes.system import folders, since, stat_of

# A tool's own helpers end a moment after it; only then they are told, then made.
MOMENT_S, PATIENCE_S = 0.5, 2.0
SIGNALS = (signal.SIGTERM, signal.SIGKILL)


class Adopted:
    """A tool whose supervisor was killed; it is not our child, and leads its group."""

    def __init__(self, pid: int, began: str) -> None:  # `since` said when it began
        self.pid, self._began = pid, began
        self.stdin = None

    def poll(self) -> int | None:
        """Return None while it is there, then a code that says nothing."""
        return None if self._began and since(self.pid) == self._began else 0

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self.poll() is None:
            os.kill(self.pid, number)


def end_adopted(note: Callable[[str], None]) -> None:
    """End the children that are left to us; our own have all been waited for.

    Those that do not end by themselves are noted. Each has its own time, also one that
    is left to us by another that was killed: it may have something to put in order.
    """
    heard, due = dict[int, int](), dict[int, float]()
    while left := [c for c in _children() if heard.get(c[0], 0) <= len(SIGNALS)]:
        now = time.monotonic()
        for pid, name in left:
            if now < due.setdefault(pid, now + MOMENT_S):
                continue
            for number in SIGNALS[heard.get(pid, 0) :][:1]:
                note(f"left behind by the tool: pid {pid} {name}; {number.name} sent")
                os.kill(pid, number)
            heard[pid], due[pid] = heard.get(pid, 0) + 1, now + PATIENCE_S
        time.sleep(0.02)


def wait_adopted(note: Callable[[str], None]) -> None:
    """Wait for the children that are left to us, send nothing; note each."""
    told = set[int]()
    while left := _children():
        for pid, name in left:
            if pid not in told:
                told.add(pid)
                note(f"left behind by the tool: pid {pid} {name}; waiting for it")
        time.sleep(0.05)


def _children() -> list[tuple[int, str]]:
    """Return pid and name of our children; those that have ended are buried."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return []
    own, found = str(os.getpid()), []
    for folder in folders():
        try:
            name, fields = stat_of(folder)
        except OSError:
            continue
        if fields[1] == own:
            found.append((int(folder.name), name))
    return found
