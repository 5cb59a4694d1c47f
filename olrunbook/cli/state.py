"""Runs without a record: do they go on? The dead ones get theirs made."""

from __future__ import annotations

import click

from olrunbook.archive.place import RunPlace
from olrunbook.cli.common import archive
from olrunbook.record.files import short

RUNNING, FINISHING = "running", "finishing"
NO_RECORD, UNREADABLE = "no record", "unreadable"


def settle() -> None:
    """Make the record of runs that were found dead, and say so."""
    opened = archive() / ".open"
    if not opened.is_dir() or not any(opened.iterdir()):
        return
    from olrunbook.archive.dead import close_dead  # noqa: PLC0415  (seldom needed)

    for record in close_dead(archive()):
        text = f"{short(record.run_id)} had died; its record was written now: "
        click.echo(text + record.cause, err=True)


def state_of(place: RunPlace) -> str:
    """Return how a run without a readable record is."""
    from olrunbook.archive.dead import life  # noqa: PLC0415

    if not place.folder.is_dir():
        return NO_RECORD
    words = {"alive": RUNNING, "finishing": FINISHING, "closed": UNREADABLE}
    return words.get(life(place), NO_RECORD)
