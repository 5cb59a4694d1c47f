"""What is shown, before it is HTML or text: a headline, tables, notes, a command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from olrunbook.adapters.aws.seen import short
from olrunbook.display.plots import Picture
from olrunbook.pages.text import took

Tone = Literal["", "ok", "warn", "bad", "muted", "run"]

# A status is a word and a shape; its colour only repeats them.
SHAPES: dict[Tone, str] = {
    "": "",
    "ok": "✓",
    "warn": "▲",
    "bad": "✗",
    "muted": "·",
    "run": "⋯",
}
WORDS: dict[str, Tone] = {
    **dict.fromkeys(("ok", "done", "kept", "succeeded", "launched"), "ok"),
    **dict.fromkeys(("refreshed", "unchanged", "changed", "available"), "ok"),
    **dict.fromkeys(("successful", "in service, healthy"), "ok"),
    **dict.fromkeys(("warn", "warning", "waiting", "interrupted"), "warn"),
    **dict.fromkeys(("no change", "not run", "not-run", "not reached"), "muted"),
    **dict.fromkeys(("gone", "same"), "muted"),
    **dict.fromkeys(("running", "pending"), "run"),
    **dict.fromkeys(("failed", "error", "refused", "timed-out", "kernel-died"), "bad"),
    **dict.fromkeys(("cancelled", "rollbacksuccessful", "rollbackfailed"), "bad"),
}
LONG_WORD = 28


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a table."""

    text: str  # what is read
    title: str = ""  # what is read on pointing at it: the whole id, the exact time
    tone: Tone = ""  # how it is to be taken; only for a status
    code: bool = False  # it is an id, a path or a command
    number: bool = False  # it is a number and stands right

    @property
    def shape(self) -> str:
        """The shape that says the tone without colour."""
        return SHAPES[self.tone]

    @property
    def long(self) -> bool:
        """Whether it has a word so long that it must be broken to fit a page."""
        return max(map(len, self.text.split()), default=0) > LONG_WORD

    @property
    def plain(self) -> str:
        """The field as text alone."""
        return f"{self.shape} {self.text}" if self.shape else self.text


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption."""

    caption: str
    columns: Sequence[str]  # column titles; all empty: no head is shown
    rows: Sequence[Sequence[Cell]]  # its rows, as long as the columns

    @property
    def narrow(self) -> Table:
        """The table without the columns in which nothing stands."""
        used = [
            at
            for at in range(len(self.columns))
            if any(row[at].text or row[at].tone for row in self.rows)
        ]
        return Table(
            self.caption,
            [self.columns[at] for at in used],
            [[row[at] for at in used] for row in self.rows],
        )


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Iterable[Cell | str]]
) -> Table:
    """Return a table in whose rows a text stands for a plain field."""
    cells = [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in rows]
    return Table(caption, columns, cells)


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence, or the lines of an output."""

    text: str
    tone: Tone = ""
    code: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """All that is shown of one thing."""

    title: str  # the line that answers the question
    tone: Tone = ""  # how it ended
    word: str = ""  # the status in a word, beside the title
    banner: str = ""  # a line across the top: a rehearsal, or an account
    alarm: bool = False  # … that is an account
    tables: Sequence[Table] = ()
    notes: Sequence[Note] = ()  # sentences below them
    html: str = ""  # HTML above the tables, escaped already
    by_hand: str = ""  # the command that does the same without olrunbook
    picture: Picture | None = None  # below the tables

    @property
    def heading(self) -> str:
        """The title without the status word it may begin with."""
        rest = self.title.removeprefix(self.word)
        return rest[1:].strip() if self.word and rest[:1] in (":", " ") else self.title

    @property
    def cell(self) -> Cell:
        """The status as a field."""
        return Cell(self.word, tone=self.tone)


def status(word: str) -> Cell:
    """Return a status, which may be in any case: word, shape, tone."""
    low = word.lower()
    tone = WORDS.get(low, "")
    if not tone and low.startswith(("in service, ", "pending")):
        tone = "run" if low.startswith("pending") else "warn"
    return Cell(word, tone=tone)


def identifier(value: str) -> Cell:
    """Return an id, shortened in the middle, whole in its title."""
    text = short(value)
    return Cell(text, title=value if text != value else "", code=True)


def seconds(value: float | None) -> Cell:
    """Return a duration: `0.4 s`, `12 s`, `3 min 10 s`."""
    if value is None:
        return Cell("")
    return Cell(took(value), title=f"{value:.3f} s", number=True)


def clock(at: datetime | None) -> Cell:
    """Return a time of day in UTC, whole in its title."""
    if at is None:
        return Cell("")
    return Cell(f"{at:%H:%M:%S}", title=f"{at:%Y-%m-%d %H:%M:%S} UTC")


def plain(values: Iterable[str]) -> list[Note]:
    """Return sentences as notes."""
    return [Note(value) for value in values if value]
