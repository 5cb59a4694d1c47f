"""Moments as people type them: one reader of times for commands and notebooks."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

FORMS = "2026-11-24, 2026-11-24 15:00, 2026-11-24 15:00 UTC, today, 3h, 2d ago"

_AGO = re.compile(r"(\d+)\s*(s|m|min|h|d|w|minutes?|hours?|days?|weeks?)(\s+ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAYS = {"today": 0, "yesterday": 1}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"\d\d?:\d\d(:\d\d)?")
_UTC = re.compile(r"\s*utc$")  # as we print it


def moment(
    text: str, now: datetime, *, end: bool = False, zone: tzinfo | None = None
) -> datetime:
    """Return the moment a text means, aware.

    Args:
        text: `2026-11-24`, `2026-11-24 15:00` (by `zone`, unless one is given),
            `15:00`, `today`, `yesterday`, `now`, `3h`, `2d ago`.
        now: The present.
        end: A day means its end, not its beginning.
        zone: The zone of a time that names none; None: the reader's clock.

    Raises:
        ValueError: It means none.

    """
    word = _UTC.sub("z", text.strip().lower())
    here = now.astimezone(zone)
    if word == "now":
        return here
    if found := _AGO.fullmatch(word):
        return here - timedelta(**{_UNITS[found[2][0]]: int(found[1])})
    if word in _DAYS:
        word = (here.date() - timedelta(days=_DAYS[word])).isoformat()
    day = bool(_DATE.fullmatch(word))
    if _CLOCK.fullmatch(word):
        word = f"{here.date().isoformat()} {word:0>5}"
    at = datetime.fromisoformat(word.upper())
    at += timedelta(days=1 if day and end else 0)
    if not at.tzinfo and zone:
        return at.replace(tzinfo=zone)
    # The reader's clock as it was on that day (summer, winter).
    return at.astimezone()
