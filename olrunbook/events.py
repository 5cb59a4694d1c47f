"""One event type for every tool: what an adapter understood of what its tool said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Kind = Literal[
    "phase",  # the tool entered a named phase; data: none
    "operation",  # one unit of work changed state; data: name, state, seconds, …
    "resource",  # one cloud resource changed state; data: urn, op, type, name, …
    "artifact",  # something was made; data: id, …
    "line",  # a line of output nobody understood better; data: stream
    "warning",
    "error",
    "progress",  # where a long wait is; replaces the previous one
    "summary",  # counts at the end; data: the counts
    "end",  # the tool is gone; data: code, stopped, finishing
]


def now() -> datetime:
    """Return the present, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """What a tool said, understood."""

    tool: str  # the tool's name, as it is written on a command line
    kind: Kind  # see `Kind`
    text: str  # one line for a person, already masked
    # the same for a program, already masked
    data: dict[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=now)  # when the supervisor read it (UTC)

    def under(self, label: str) -> Event:
        """Return it as what one of several tools says that do the same."""
        named = {k: f"{label}: {v}" for k, v in self.data.items() if k == "name"}
        text = f"{label}: {self.text}" if self.text else ""
        return replace(self, text=text, data={**self.data, **named})


def handed(events: Iterator[T], take: Callable[[T], None]) -> None:
    """Hand each event of a tool on.

    Args:
        events: What an adapter yields.
        take: Called with each. An interrupt that comes in it is thrown into the
            adapter: it has the tool, and says what is left of it.

    """
    for event in events:
        try:
            take(event)
        except KeyboardInterrupt as interrupt:
            if throw := getattr(events, "throw", None):
                throw(interrupt)
            raise
