"""How much of a group a refresh keeps healthy, in percent, as AWS takes it."""

from __future__ import annotations

import re

from olrunbook.errors import UsageError

LIMITS = {"MinHealthy": (0, 100), "MaxHealthy": (100, 200)}  # least and most percent
APART = 100


def parse_percent(kind: str, name: str, text: str) -> int | None:
    """Return the percentage a text like `90` or `90 %` names; None: it is blank.

    `kind` is `MinHealthy` or `MaxHealthy`; `name` is the parameter's, for the message.

    Raises:
        UsageError: It is no whole number, or none that AWS takes.

    """
    if not text.strip():
        return None
    low, high = LIMITS[kind]
    found = re.fullmatch(r"\s*([0-9]{1,9})\s*%?\s*", text)
    if not found or not low <= int(found[1]) <= high:
        msg = f"{name} {text!r} is no percentage from {low} to {high}"
        raise UsageError(msg)
    return int(found[1])


def require_near(least: int | None, most: int | None) -> None:
    """Raise UsageError where both are given and AWS does not take them together."""
    if least is not None and most is not None and most - least > APART:
        msg = f"min_healthy {least}, max_healthy {most}: AWS allows 100 between them"
        raise UsageError(msg)
