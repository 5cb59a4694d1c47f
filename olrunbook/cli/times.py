"""Moments as people type and read them: their own clock, beside UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

__all__ = ["Moment", "both", "local", "moment", "utc"]

_AGO = re.compile(r"(\d+)\s*(s|m|min|h|d|w|minutes?|hours?|days?|weeks?)(\s+ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAYS = {"today": 0, "yesterday": 1}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"\d\d?:\d\d(:\d\d)?")


def moment(text: str, now: datetime, *, end: bool = False) -> datetime:
    """Return the moment a text means, aware.

    Args:
        text: `2026-11-24`, `2026-11-24 15:00` (the reader's clock, unless a zone is
            given), `15:00`, `today`, `yesterday`, `now`, `3h`, `2d ago`.
        now: The present.
        end: A day means its end, not its beginning.

    Raises:
        ValueError: It means none.

    """
    word = text.strip().lower()
    here = now.astimezone()
    if word == "now":
        return here
    if found := _AGO.fullmatch(word):
        return here - timedelta(**{_UNITS[found[2][0]]: int(found[1])})
    if word in _DAYS:
        word = (here.date() - timedelta(days=_DAYS[word])).isoformat()
    if _DATE.fullmatch(word):
        day = datetime.fromisoformat(word)
        return (day + timedelta(days=1) if end else day).astimezone()
    if _CLOCK.fullmatch(word):
        word = f"{here.date().isoformat()} {word:0>5}"
    # Without a zone it is the reader's, as it was on that day (summer, winter).
    return datetime.fromisoformat(word.upper()).astimezone()


class Moment(click.ParamType[datetime]):
    """A moment on the command line.

    Args:
        end: A day means its end.

    """

    name = "time"

    def __init__(self, *, end: bool = False) -> None:
        self._end = end

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment, or fail with what can be typed."""
        if isinstance(value, datetime):
            return value
        try:
            return moment(value, datetime.now().astimezone(), end=self._end)
        except (ValueError, OverflowError):
            forms = "2026-11-24, 2026-11-24 15:00, today, yesterday, 3h, 2d ago"
            self.fail(f"{value!r} is not a time; try {forms}", param, ctx)


def utc(at: datetime) -> str:
    """Return a moment in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def local(at: datetime) -> str:
    """Return a moment on the reader's clock with its zone; empty where that is UTC."""
    here = at.astimezone()
    if not here.utcoffset():
        return ""
    days = (here.date() - at.astimezone(UTC).date()).days
    return f"{here:%H:%M %Z}{f' {days:+d}d' if days else ''}"


def both(at: datetime) -> str:
    """Return a moment in UTC with the reader's clock beside it."""
    here = local(at)
    return f"{utc(at)} UTC ({here})" if here else f"{utc(at)} UTC"
