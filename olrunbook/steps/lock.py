"""One change of an app at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from olrunbook.errors import RefusedError
from olrunbook.targets import state_dir

HELD_VARIABLE = "OLRUNBOOK_LOCKED"  # the app whose lock our caller holds for us


def holder(root: Path, app: str) -> str:
    """Return who holds an app's lock, in words; empty: nobody."""
    if os.environ.get(HELD_VARIABLE) == app:
        return ""  # our caller, for us
    path = state_dir(root) / "locks" / f"{app}.lock"
    with contextlib.suppress(FileNotFoundError), path.open() as lock:
        text = lock.read().strip()  # whoever leaves it empties it, or died
        try:
            if text:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return text
    return ""


@contextlib.contextmanager
def one_at_a_time(root: Path, app: str, what: str) -> Iterator[None]:
    """Hold the app's lock and say there who holds it; whoever dies leaves it.

    RefusedError where somebody else holds it, with who and since when.
    """
    if os.environ.get(HELD_VARIABLE) == app:  # a release, for all of its runs
        yield
        return
    folder = state_dir(root) / "locks"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / f"{app}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            held = lock.read().strip() or "another process"
            msg = f"{app} is being changed by another run: {held}"
            raise RefusedError(msg, "Wait until it ends, then try again.") from None
        lock.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        lock.write(f"{what}, pid {os.getpid()}, since {since} UTC\n")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)
