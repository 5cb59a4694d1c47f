"""How long tools may go on after an interrupt: OLRUNBOOK_GRACE_S."""

from __future__ import annotations

import os

from olrunbook.errors import UsageError

GRACE_VARIABLE = "OLRUNBOOK_GRACE_S"


def grace_s(default: float) -> float:
    """Return the seconds that the environment names, else the default.

    Raises:
        UsageError: It names no number of seconds.

    """
    text = os.environ.get(GRACE_VARIABLE)
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        msg = f"{GRACE_VARIABLE} is {text!r}: it must be a number of seconds, as 6"
        raise UsageError(msg, f"unset {GRACE_VARIABLE}")
    return seconds
