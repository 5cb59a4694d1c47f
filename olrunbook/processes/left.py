"""What a run started and did not end: found by the run's id, named, told, ended.

A kernel has its run's id in the environment, and so has all that its cells start.
Tools are not among it: they get an environment of their own, and their supervisors keep
their own rules. Elsewhere than on Linux nothing is found (`system.NOT_DONE`).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from olrunbook.processes.system import age_s, command_of, folders, since, stat_of

VARIABLE = "OLRUNBOOK_RUN_ID"
# They end by themselves when what they look after has ended.
OURS = (b"olrunbook.processes.supervisor", b"olrunbook.archive.dead")
# First a moment for helpers that end just after their parent; then told, then made.
STEPS = ((0, 0.3), (signal.SIGTERM, 2.0), (signal.SIGKILL, 1.0))
LENGTH = 200  # characters of a command that is named
LOOKS = 4  # how often a process in its exec is asked again for its environment


@dataclass(frozen=True, slots=True)
class Carrier:
    """A process that carries a run's id."""

    pid: int  # its process id
    began: str  # what `orphans.since` said of it
    command: str  # its command line
    age_s: float  # seconds since it began

    def __str__(self) -> str:
        """Return it as a record names it."""
        return f"pid {self.pid}, {self.command} ({self.age_s:.0f} s old)"


def carriers(run_id: str, spare: Collection[tuple[int, str]] = ()) -> list[Carrier]:
    """Return the processes of this user that carry a run's id.

    Args:
        run_id: The run.
        spare: Processes (pid, `since`) that are meant to stay; what descends from them
            is meant to stay, too.

    """
    mark, found = f"{VARIABLE}={run_id}".encode(), {}
    for folder in folders():
        try:
            if folder.stat().st_uid != os.getuid():
                continue
            environment, words = carried(folder)
            if mark not in environment:
                continue
            _, fields = stat_of(folder)
        except OSError:
            continue
        pid, began = int(folder.name), "" if fields[0] in "ZX" else fields[19]
        if began and pid != os.getpid() and not set(OURS) & set(words):
            line = own_words([word.decode(errors="replace") for word in words])
            found[pid] = Carrier(pid, began, line, age_s(began)), int(fields[1])
    staying = {pid for pid, began in spare if since(pid) == began}
    while more := {p for p, (_, up) in found.items() if up in staying} - staying:
        staying |= more
    return [carrier for pid, (carrier, _) in found.items() if pid not in staying]


def carried(folder: Path) -> tuple[list[bytes], list[bytes]]:
    """Return environment and command line of a process; see `command_of`.

    Raises:
        OSError: It is gone, or another user's.

    """
    for _ in range(LOOKS):  # without an environment: it really has none, or is in one
        words = command_of(folder)
        found = (folder / "environ").read_bytes().split(b"\0")[:-1]
        if found or not words:
            break
        time.sleep(0.001)
    return found, words


def own_words(words: list[str]) -> str:
    """Return a command line as it would be typed, cut where it is long."""
    line = shlex.join(words)
    return line if len(line) <= LENGTH else f"{line[:LENGTH]}…"


def end_carriers(
    run_id: str,
    note: Callable[[str], None],
    spare: Collection[tuple[int, str]] = (),
) -> None:
    """End what carries a run's id, and what appears meanwhile, but for `spare`.

    What did not end by itself is noted, with how it ended.
    """
    told: dict[tuple[int, str], tuple[Carrier, str]] = {}
    for number, wait_s in STEPS:
        end = time.monotonic() + wait_s
        while left := carriers(run_id, spare):
            for carrier in left if number else ():
                key, word = (carrier.pid, carrier.began), signal.Signals(number).name
                if told.get(key, (None, ""))[1] != word:
                    told[key] = told.get(key, (carrier, ""))[0], word
                    _send(carrier, number)
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        if not left:
            break
    for (pid, began), (carrier, word) in told.items():
        how = "and is still running" if since(pid) == began else "and ended"
        note(f"a cell left a process behind: {carrier}; it was sent {word} {how}")


def _send(carrier: Carrier, number: int) -> None:
    if since(carrier.pid) == carrier.began:
        with contextlib.suppress(ProcessLookupError):
            os.kill(carrier.pid, number)
