"""One command at a time changes a checkout's cloud; others wait.

Commands that only look at it do not wait for one another.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from olrunbook.errors import OlrunbookError

LOOK_S = 0.1


@contextlib.contextmanager
def hold(
    path: Path,
    *,
    looks: bool = False,
    waiting: Callable[[], None] = lambda: None,
    limit_s: float = 300,
) -> Iterator[None]:
    """Hold a lock file; whoever changes the cloud removes it afterwards.

    Args:
        path: The file; the kernel frees it when its holder dies.
        looks: The cloud is only looked at: others may do so meanwhile.
        waiting: Called once where somebody else holds it.
        limit_s: Seconds to wait.

    Raises:
        OlrunbookError: Somebody held it all the while.

    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    end, told = time.monotonic() + limit_s, False
    how = fcntl.LOCK_SH if looks else fcntl.LOCK_EX
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
            if _is_file(handle, path):
                break
        except BlockingIOError:
            pass
        os.close(handle)  # held, or its holder has just removed it
        if not told:
            waiting()
            told = True
        if time.monotonic() > end:
            msg = f"another command has been changing the rehearsal for {limit_s:g} s"
            raise OlrunbookError(
                msg, f"Wait for it, or look: olrunbook rehearsal status ({path})"
            )
        time.sleep(LOOK_S)
    try:
        yield
    finally:
        if not looks:
            path.unlink(missing_ok=True)
        os.close(handle)


def _is_file(handle: int, path: Path) -> bool:
    """Whether the locked file still is the one at the path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
