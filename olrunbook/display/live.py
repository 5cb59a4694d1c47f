"""What happens while it happens: one output, redrawn from the tools' events."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from olrunbook.display.front import Output
from olrunbook.display.render import bundle
from olrunbook.display.view import Cell, Note, View, seconds, status, table
from olrunbook.events import Event

EVERY_S = 0.25  # four redraws a second are enough for a person …
HEADLESS_EVERY_S = 2.0  # … and nobody looks at a headless run
ROWS = 40
LINES = 8
TROUBLES = 12
HEADLESS = "OLRUNBOOK_TELL_FD"


@dataclass(slots=True)
class Board:
    """What the events said so far."""

    name: str  # the step
    began: float = 0.0  # when it began, by the clock
    phase: str = ""
    progress: str = ""
    # name, state, detail and time of each operation, resource or instance as it is now
    rows: dict[str, tuple[str, Cell, str, Cell]] = field(default_factory=dict)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    troubles: deque[Note] = field(default_factory=lambda: deque(maxlen=TROUBLES))

    def add(self, event: Event) -> None:
        """Take in an event."""
        match event.kind:
            case "phase":
                self.phase, self.progress = event.text, ""
            case "progress":
                self.progress = event.text
            case "operation" | "resource" | "artifact":
                self._row(event)
            case "warning":
                self.troubles.append(Note(event.text, tone="warn"))
            case "error":
                self.troubles.append(Note(event.text, tone="bad"))
            case "line" if event.text.strip():
                self.lines.append(event.text)
            case _:
                pass

    def _row(self, event: Event) -> None:
        def first(*names: str, default: str = "") -> str:
            return str(next(filter(None, map(event.data.get, names)), default))

        name = first("name", "id", default=event.text)
        state = first("state", "op", default=event.kind)
        detail = first("found", "image", "type", "detail")
        took = event.data.get("seconds")
        time = seconds(float(took) if took else None)
        self.rows[first("urn", default=name)] = name, status(state), detail, time

    def view(self, now: float, *, ended: bool = False, failed: bool = False) -> View:
        """Return what is to be seen at a moment, by the clock."""
        rows = list(self.rows.values())
        counts = Counter(state.text for _, state, _, _ in rows)
        counted = ", ".join(f"{number} {state}" for state, number in counts.items())
        said = counted if ended else self.progress or self.phase or counted
        title = [self.name, seconds(now - self.began).text, said]
        caption = f"the last {ROWS} of {len(rows)}" if len(rows) > ROWS else ""
        notes = list(self.troubles)
        if self.lines and (failed or not ended):
            notes.append(Note("\n".join(self.lines), code=True))
        return View(
            " · ".join(filter(None, title)),
            tone="bad" if failed else "ok" if ended else "run",
            word="failed" if failed else "ended" if ended else "running",
            tables=[table(caption, ("what", "state", "detail", "took"), rows[-ROWS:])],
            notes=notes,
        )


class Live:
    """Shows a step's events in one output while it runs.

    The output stays: folded where the step ended well, because its result is shown
    below; open where it did not.
    """

    def __init__(
        self,
        name: str,
        *,
        output: Output | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._output = clock, output or Output()
        self._every_s = HEADLESS_EVERY_S if os.environ.get(HEADLESS) else EVERY_S
        self.board = Board(name, clock())
        self._drawn: float | None = None

    def add(self, event: Event) -> None:
        """Take in an event; redraw unless that was done a moment ago."""
        self.board.add(event)
        now = self._clock()
        if self._drawn is None or now - self._drawn >= self._every_s:
            self._drawn = now
            self._output.put(bundle(self.board.view(now)))

    def close(self) -> None:
        """Draw the end. Call it where an error of the step is still being handled."""
        if self._drawn is None:
            return  # nothing was ever said
        failed = sys.exc_info()[0] is not None
        view = self.board.view(self._clock(), ended=True, failed=failed)
        self._output.put(bundle(view, folded=not failed))
