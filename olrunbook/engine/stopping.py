"""Stop a run: a signal that came, a limit that is passed, a record that is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from olrunbook.engine.endings import Ending
from olrunbook.engine.kernel import Kernel
from olrunbook.engine.watch import Watch

HURRY_S = 3.0
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_came: list[int] = []  # signals that came while a run was opened


@dataclass(kw_only=True, slots=True)
class Stopper:
    """Decides how a run ends that is stopped, and tells its kernel."""

    # the kernel; it is interrupted, so that tools are stopped first, by their policies
    kernel: Kernel
    watch: Watch  # the run's clock and limits
    on_progress: Callable[[str], None]  # called with a line whenever there is news
    on_warning: Callable[[str], None]  # called with a sentence that the record keeps
    grace_s: float  # seconds the kernel gets to end its cell after an interrupt
    ending: Ending | None = None  # how the run ends once its cell has ended
    _signals: list[str] = field(default_factory=list)
    _seen: int = 0  # signals already acted on
    _give_up: float = float("inf")

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
            passed = clock - self.watch.began
            ending = self._signalled(f"after {passed:.0f} s, in {where}")
            # Whoever asks twice does not want to wait; the tools keep their policies.
            self.halt(ending, clock, HURRY_S if again else self.grace_s)
        elif self.ending is None:
            if over := self.watch.over(clock):
                self.halt(Ending("timed-out", f"{where}: {over}"), clock)
            elif warning := self.watch.warning(clock):
                self.on_progress(warning)
                self.on_warning(f"{where}: {warning}")

    def halt(self, ending: Ending, clock: float, grace_s: float | None = None) -> None:
        """Interrupt the cell; the first reason for it is the run's."""
        self.ending = self.ending or ending
        grace_s = self.grace_s if grace_s is None else grace_s
        self._give_up = min(self._give_up, clock + grace_s)
        self.on_progress(f"{ending.cause}: stopping")
        self.kernel.interrupt()

    def _signalled(self, where: str) -> Ending:
        name = self._signals[0]
        code = 128 + signal.Signals[name]
        return Ending("interrupted", f"{name} {where}", code=code)


class StoppedError(KeyboardInterrupt):
    """A signal asked us to stop; its name is the message."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def handled(by: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Hand SIGINT, SIGTERM and SIGHUP to a function; also those that `unbroken` kept.

    Only the main thread may do that: for a caller in another one they stay as they are.
    A SIGHUP that is ignored (`nohup`) stays ignored.
    """
    with _replaced(by):
        kept, _came[:] = _came[:], []
        for number in kept:
            by(number, None)
        yield


@contextmanager
def unbroken() -> Iterator[None]:
    """Keep signals while a run is opened, for who runs it: no run is half open.

    What nobody inside has heard comes at the end.
    """
    try:
        with _replaced(lambda number, _: _came.append(number)):
            yield
    finally:
        while _came:
            signal.raise_signal(_came.pop(0))


@contextmanager
def _replaced(by: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    main = threading.current_thread() is threading.main_thread()
    numbers = set(NUMBERS if main else ())
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.discard(signal.SIGHUP)
    before = {number: signal.signal(number, by) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def raising() -> Iterator[None]:
    """Raise StoppedError where a signal comes."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise StoppedError(number)

    with handled(stop):
        yield


@contextmanager
def deaf() -> Iterator[None]:
    """Let no signal keep a record from being finished: that takes no second."""
    with _replaced(lambda *_: None):
        yield
