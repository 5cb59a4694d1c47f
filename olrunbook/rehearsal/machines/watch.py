"""Notice containers that end by themselves: poweroff inside, out of memory."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

from olrunbook.adapters.docker.command import environment
from olrunbook.rehearsal.places import Places
from olrunbook.rehearsal.signals import Signals, log


class DeathWatch:
    """Follows docker's events in a thread; `died` gets each container that ended."""

    def __init__(
        self, places: Places, signals: Signals, died: Callable[[str], None]
    ) -> None:
        self._places, self._signals, self._died = places, signals, died
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="deaths", daemon=True).start()

    def end(self) -> None:
        """Stop watching."""
        if self._process:
            self._process.terminate()
            self._process.wait(5)

    def _watch(self) -> None:
        """Read events until the end; a restarted dockerd is followed again."""
        while not self._signals.ending.is_set():
            # The kernel ends the command with the thread that started it, so also when
            # this process is killed. This thread lives as long as the process.
            with subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "TERM"),
                    *("docker", "events", "--filter", f"label={self._places.label}"),
                    *("--filter", "event=die"),
                    *("--format", "{{.Actor.Attributes.name}}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment(),
            ) as self._process:
                for line in self._process.stdout or ():
                    self._died(line.strip())
            if self._signals.ending.wait(1.0):
                return
            log("docker's events ended; following them again")
