"""How the parts of the cloud wake each other and learn that it is going down."""

from __future__ import annotations

import sys
import threading
import time


class Signals:
    """Two events that every part of one cloud shares.

    `wake`: something changed, the control loop should look now. `ending`: the cloud
    goes down, start nothing any more (a group would heal what is being removed).
    """

    def __init__(self) -> None:
        self.wake = threading.Event()
        self.ending = threading.Event()

    def changed(self) -> None:
        """Say that something changed."""
        self.wake.set()


def log(*words: object) -> None:
    """Write one line into the daemon's log."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(" ".join(map(str, [stamp, *words])) + "\n")
    sys.stderr.flush()
