"""Threads that cells started and that still work when their run ends."""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection, Mapping


def still_working(
    spare: Collection[threading.Thread] = (),
) -> list[threading.Thread]:
    """Return the threads that are not daemons, but main, this, and spared ones.

    The kernel's own threads and ours are daemons. A worker of a pool that waits for
    something to do is not working.
    """
    here = {threading.main_thread(), threading.current_thread(), *spare}
    frames = sys._current_frames()  # noqa: SLF001  (the one way to see who waits)
    return [
        thread
        for thread in threading.enumerate()
        if not thread.daemon and thread not in here and not _waits(frames, thread)
    ]


def unheard(threads: Collection[threading.Thread]) -> list[str]:
    """Return what a record says of them, in sentences."""
    return [
        f"thread {thread.name} was still working when the run ended; "
        "what it did after that is not in the record"
        for thread in threads
    ]


def _waits(frames: Mapping[int, object], thread: threading.Thread) -> bool:
    """Whether it is a worker of `concurrent.futures` without work."""
    code = getattr(frames.get(thread.ident or 0), "f_code", None)
    return (
        code is not None
        and code.co_name == "_worker"
        and code.co_filename.endswith("concurrent/futures/thread.py")
    )
