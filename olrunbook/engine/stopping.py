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
from olrunbook.project.limits import Limits

HURRY_S = 3.0
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_came: list[int] = []  # signals that came while a run was opened


class Watch:
    """Knows what goes on and since when; its clock counts monotonic seconds."""

    def __init__(self, limits: Limits, clock: float) -> None:
        self._limits = limits
        self.began = clock
        self.begun = False  # else only the run as a whole has a limit
        self.enter("", clock)

    def enter(self, step: str, clock: float, *, changes: bool = False) -> None:
        """Take note that a step began; empty: a cell, or what follows a step."""
        self._what = f'step "{step}"' if step else "the cell"
        self._step_began, self._now = clock, self._limits.of(step, changes=changes)
        self.hear(clock)

    def hear(self, clock: float) -> None:
        """Take note that something was said."""
        self._heard, self._warned = clock, False

    def silent_s(self, clock: float) -> float:
        """Return for how long nothing was said."""
        return clock - self._heard

    def over(self, clock: float) -> str:
        """Return which limit is passed, in words; empty: none that stops the run."""
        what, limits, run_s = self._what, self._now, self._limits.run_s
        if run_s and clock - self.began > run_s:
            return f"the run took more than {run_s:g} s (limits.run_s)"
        if not self.begun:  # a notebook that knows nothing of us
            return ""
        if limits.step_s and clock - self._step_began > limits.step_s:
            return f"{what} took more than {limits.step_s:g} s (limits.step_s)"
        if limits.on_idle == "stop" and self._idle(clock):
            return f"{what} was silent for {limits.idle_s:g} s (limits.idle_s)"
        return ""

    def warning(self, clock: float) -> str:
        """Return a sentence about silence that stops nothing, once; else empty."""
        if self._warned or not self.begun or not self._idle(clock):
            return ""
        self._warned = True
        idle_s = self._now.idle_s
        return f"{self._what} was silent for {idle_s:g} s; it is not stopped"

    def _idle(self, clock: float) -> bool:
        return 0 < (self._now.idle_s or 0) < self.silent_s(clock)


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
