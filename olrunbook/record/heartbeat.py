"""The sign of life of a run: a small file, renewed every few seconds.

It says how long the run has been going on and how long nothing was said, and who would
have to be dead for the run to be dead. It goes when the run is sealed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any, Self

from olrunbook.processes.system import boot, since
from olrunbook.record.files import now, write_atomic
from olrunbook.record.shapes import sign_fits

FILE = "heartbeat.json"
EVERY_S = 4.0  # readers are promised five
SOON_S = 1.0  # how old the name of the place may be where a killed run was


def process_facts(pid: int | None = None) -> dict[str, Any]:
    """Return what tells a process (None: this one) from all others, after a reboot too.

    Returns:
        `host`, `boot` (id of the system's start), `pid`, `start` (when it began, in the
        system's own count; empty where the process is gone).

    """
    pid = os.getpid() if pid is None else pid
    return {
        "host": socket.gethostname(),
        "boot": boot(),
        "pid": pid,
        "start": since(pid),
    }


class Heartbeat:
    """Renews a run's sign of life in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._where = self._written = "start"
        self._began = self._heard = self._wrote = time.monotonic()
        self._facts = process_facts()
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, name="heartbeat", daemon=True
        )

    def start(self) -> Self:
        """Write the first sign and go on until `stop`."""
        self._write()
        self._thread.start()
        return self

    def beat(self, where: str | None = None) -> None:
        """Take note that something was said, and where the run is now."""
        self._heard = time.monotonic()
        if where is not None:
            self._where = where

    def stop(self) -> None:
        """End it and remove the file."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stopped.wait(SOON_S):
            late = time.monotonic() - self._wrote + SOON_S > EVERY_S
            if late or self._where != self._written:
                self._write()

    def _write(self) -> None:
        clock = self._wrote = time.monotonic()
        self._written = self._where
        sign = {
            "at": now(),
            "elapsed_s": round(clock - self._began, 1),
            "silent_s": round(clock - self._heard, 1),
            "where": self._written,
            "process": self._facts,
        }
        # A full disk ends the run where its record is written, not here.
        with contextlib.suppress(OSError):
            write_atomic(self.path, json.dumps(sign) + "\n")


def read_heartbeat(folder: Path) -> dict[str, Any]:
    """Return a run's last sign of life; empty where there is none."""
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if sign_fits(found) else {}
