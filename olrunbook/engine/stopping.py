"""Stop a run: a signal that came, a limit that is passed, a record that is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType

from olrunbook.engine.endings import Ending, ended
from olrunbook.engine.kernel import Kernel
from olrunbook.engine.watch import Watch

__all__ = ["Stopper"]

HURRY_S = 3.0


class Stopper:
    """Decides how a run ends that is stopped, and tells its kernel.

    Args:
        kernel: The kernel; it is interrupted, so that tools are stopped first, by their
            policies.
        watch: The run's clock and limits.
        on_progress: Called with a line whenever there is news.
        on_warning: Called with a sentence that the record keeps.
        grace_s: Seconds the kernel gets to end its cell after an interrupt.

    """

    def __init__(
        self,
        kernel: Kernel,
        watch: Watch,
        *,
        on_progress: Callable[[str], None],
        on_warning: Callable[[str], None],
        grace_s: float,
    ) -> None:
        self._kernel, self._watch, self._grace_s = kernel, watch, grace_s
        self._on_progress, self._on_warning = on_progress, on_warning
        self._began = time.monotonic()
        self._signals: list[str] = []
        self._seen = 0  # signals already acted on
        self._give_up = float("inf")
        self.ending: Ending | None = None  # how the run ends once its cell has ended

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Take note of a signal (its handler)."""
        self._signals.append(signal.Signals(number).name)

    def overdue(self, clock: float) -> bool:
        """Whether the cell was told to stop and had its time."""
        return clock > self._give_up

    def outside(self, where: str) -> Ending | None:
        """Return the ending that a signal decides while no cell runs."""
        return self._signalled(where) if len(self._signals) > self._seen else None

    def look(self, clock: float, where: str) -> None:
        """Act on a signal that came, and on a limit that is passed."""
        if len(self._signals) > self._seen:
            again, self._seen = bool(self._seen), len(self._signals)
            ending = self._signalled(f"after {clock - self._began:.0f} s, in {where}")
            # Whoever asks twice does not want to wait; the tools keep their policies.
            self.halt(ending, clock, HURRY_S if again else self._grace_s)
        elif self.ending is None:
            if over := self._watch.over(clock):
                self.halt(ended("timed-out", f"{where}: {over}"), clock)
            elif warning := self._watch.warning(clock):
                self._on_progress(warning)
                self._on_warning(f"{where}: {warning}")

    def halt(self, ending: Ending, clock: float, grace_s: float | None = None) -> None:
        """Interrupt the cell; the first reason for it is the run's."""
        self.ending = self.ending or ending
        grace_s = self._grace_s if grace_s is None else grace_s
        self._give_up = min(self._give_up, clock + grace_s)
        self._on_progress(f"{ending.cause}: stopping")
        self._kernel.interrupt()

    def _signalled(self, where: str) -> Ending:
        name = self._signals[0]
        code = 128 + signal.Signals[name]
        return ended("interrupted", f"{name} {where}", code=code)
