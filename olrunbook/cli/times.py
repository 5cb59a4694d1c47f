"""Moments as people type and read them: their own clock, beside UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from olrunbook.project.moments import FORMS, moment


class Moment(click.ParamType[datetime]):
    """A moment on the command line; with `end` a day means its end."""

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
            self.fail(f"{value!r} is not a time; try {FORMS}", param, ctx)


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
