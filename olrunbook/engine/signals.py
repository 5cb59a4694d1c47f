"""SIGINT and SIGTERM outside the cells: before the first one, and at the end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StoppedError", "deaf", "handled", "raising"]

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(KeyboardInterrupt):
    """A signal asked us to stop; its name is the message.

    Args:
        number: The signal.

    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def handled(by: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Hand SIGINT and SIGTERM to a function.

    Only the main thread may do that: for a caller in another one they stay as they are.
    """
    main = threading.current_thread() is threading.main_thread()
    numbers = NUMBERS if main else ()
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
    with handled(lambda *_: None):
        yield
