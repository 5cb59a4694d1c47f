"""Processes whose parents are gone: what a tool left, and a tool that was left."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["Adopted", "adopt", "end_adopted", "since", "stat_of", "wait_adopted"]

PR_SET_CHILD_SUBREAPER = 36
# A tool's own helpers end a moment after it; only then they are told, then made.
STEPS = ((0, 0.5), (signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0))


def stat_of(folder: Path) -> tuple[str, list[str]]:
    """Return the name of a process, by its folder in /proc, and what its `stat` says.

    Raises:
        OSError: It is gone.

    """
    # The name is bytes, in parentheses, and may hold anything, also parentheses.
    text = (folder / "stat").read_text(errors="replace")
    head, _, rest = text.rpartition(")")
    return head.partition(" (")[2], rest.split()


def since(pid: int) -> str:
    """Return when a process began, in the system's count; empty: it has ended."""
    try:
        _, fields = stat_of(Path(f"/proc/{pid}"))
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


class Adopted:
    """A tool whose supervisor was killed; it is not our child.

    Args:
        pid: Its process id, and that of its group.
        began: What `since` said of it.

    """

    def __init__(self, pid: int, began: str) -> None:
        self.pid, self._began = pid, began
        self.stdin = None

    def poll(self) -> int | None:
        """Return None while it is there, then a code that says nothing."""
        return None if self._began and since(self.pid) == self._began else 0

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self.poll() is None:
            os.kill(self.pid, number)


def adopt() -> None:
    """Have the system give us every descendant whose own parent ends (Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_adopted(note: Callable[[str], None]) -> None:
    """End the children that are left to us; our own have all been waited for.

    Those that do not end by themselves are noted.
    """
    for number, wait_s in STEPS:
        end, told = time.monotonic() + wait_s, set[int]()
        while left := _children():
            for pid, name in left if number else ():
                if pid not in told:  # also those that are left to us by these
                    told.add(pid)
                    word = signal.Signals(number).name
                    note(f"left behind by the tool: pid {pid} {name}; {word} sent")
                    os.kill(pid, number)
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        if not left:
            return


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
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, fields = stat_of(folder)
        except OSError:
            continue
        if fields[1] == own:
            found.append((int(folder.name), name))
    return found
