"""Events of a tool, handed on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from olrunbook.errors import InterruptedRunError
from olrunbook.events import Event, handed


def tool(seen: list[str]) -> Iterator[Event]:
    """Yield events as an adapter does; an interrupt is turned into its own error."""
    try:
        yield Event("tool", "line", "one")
        yield Event("tool", "line", "two")
    except KeyboardInterrupt:
        seen.append("told")
        msg = "tool was interrupted"
        raise InterruptedRunError(msg) from None


def test_every_event_is_handed_on() -> None:
    """All of them, in order."""
    got: list[str] = []
    handed(tool([]), lambda event: got.append(event.text))
    assert got == ["one", "two"]


def test_an_interrupt_while_an_event_is_shown_reaches_the_tool() -> None:
    """Ctrl-C may come while we print: the tool is told, and its error is the one."""
    seen: list[str] = []

    def show(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="tool was interrupted"):
        handed(tool(seen), show)
    assert seen == ["told"]


def test_an_interrupt_of_what_cannot_be_told_goes_on() -> None:
    """Events that no tool yields are just left."""

    def show(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        handed(iter([Event("tool", "line", "one")]), show)
