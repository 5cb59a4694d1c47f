"""The control loop: one thread that turns wishes into what is so."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence

from olrunbook.rehearsal.groups.groups import Groups, all_groups
from olrunbook.rehearsal.signals import Signals, log


def advance_refreshes(groups: Groups) -> None:
    """Bring every active refresh to the present; hold the lock while calling."""
    now = time.time()
    for group in all_groups():
        if refresh := groups.ledger.group(group).refresh:
            refresh.advance(now)


class Control:
    """Runs everything that has to happen without being asked.

    Args:
        groups: Auto Scaling groups.
        others: Called at each turn before the groups (health checks, balancers).
        lock: Held while groups are worked on.
        signals: Wake it, end it.
        tick_s: Seconds between two turns when nothing wakes it.

    """

    def __init__(
        self,
        groups: Groups,
        others: Sequence[Callable[[], None]],
        lock: threading.RLock,
        signals: Signals,
        tick_s: float,
    ) -> None:
        self._groups, self._others, self._lock = groups, others, lock
        self._signals, self._tick_s = signals, tick_s
        self._thread = threading.Thread(target=self._loop, name="control", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Wait for the turn under way; `Signals.ending` must be set."""
        self._signals.wake.set()
        self._thread.join(10)

    def _loop(self) -> None:
        while not self._signals.ending.is_set():
            self._signals.wake.wait(self._tick_s)
            self._signals.wake.clear()
            try:
                self._turn()
            except Exception:  # noqa: BLE001  (one odd resource must not stop the rest)
                log("ERROR control", traceback.format_exc(limit=-4))

    def _turn(self) -> None:
        for other in self._others:
            other()
        with self._lock:
            for group in all_groups():
                if self._signals.ending.is_set():
                    return
                self._groups.tick(group)
            advance_refreshes(self._groups)
