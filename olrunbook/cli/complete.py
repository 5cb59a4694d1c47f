"""Tab completion, and the run a reference names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from olrunbook.archive.index import find, search
from olrunbook.archive.index_rows import Query, Row
from olrunbook.archive.place import RunPlace, place_of, read_record
from olrunbook.cli.common import archive, project
from olrunbook.errors import OlrunbookError, UsageError
from olrunbook.project.where import cache_dir
from olrunbook.record.files import minute, short

OFFERED = 40
NAMED = 3


def run_named(reference: str, meant: Collection[str] = ()) -> RunPlace:
    """Return the one run of the archive in use that a reference names.

    Args:
        reference: Its id, its first or last characters (at least 3; `0193…d02` as it is
            shown works too), or its directory.
        meant: Statuses of runs that can be meant; they decide where several are shown
            as the reference is.

    Raises:
        UsageError: None or more than one fits.

    """
    path = Path(reference)
    if path.is_dir() and (place := place_of(path.absolute())):
        return place
    fits = find(archive(), cache_dir(), reference)
    if len(fits) > 1 and "…" in reference:  # as we print it, and soon not the only one
        records = [(row, read_record(row)) for row in fits]
        fits = [row for row, its in records if its and its.status in meant] or fits
    if len(fits) == 1:
        return fits[0]
    if not fits:
        msg = f"no run matches {reference!r}"
        raise UsageError(msg, "List them: olrunbook runs")
    msg = f"{len(fits)} runs match {reference!r}"
    some = "; ".join(f"{row.run_id} ({_about(row)})" for row in fits[:NAMED])
    raise UsageError(msg, f"Give the id or the directory of one: {some}")


def _about(row: Row) -> str:
    return f"{row.notebook} {row.app} {row.room} {minute(row.at)}"


def complete_run(
    _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the runs whose id begins (else: ends) as typed, newest first."""
    if "/" in incomplete:
        return [CompletionItem(incomplete, type="dir")]
    try:
        if len(incomplete.replace("…", "")) < NAMED:
            rows = [
                row
                for row in search(archive(), cache_dir(), Query(limit=OFFERED))
                if row.run_id.startswith(incomplete)
            ]
        else:
            rows = find(archive(), cache_dir(), incomplete)
            begun = [row for row in rows if row.run_id.startswith(incomplete)]
            rows = (begun or rows)[:OFFERED]
    except OlrunbookError:
        return []  # the shell is no place for messages
    return [
        CompletionItem(
            row.run_id, help=f"{short(row.run_id)} {_about(row)} {row.status}".strip()
        )
        for row in rows
    ]


def _names(
    find: Callable[[], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return a completion by names that are looked for when it is called."""

    def complete(
        _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[str]:
        try:
            return [name for name in find() if name.startswith(incomplete)]
        except OlrunbookError:
            return []

    return complete


def _folders(pattern: str) -> list[str]:
    found = {path.name for path in archive().glob(pattern) if path.is_dir()}
    return sorted(name for name in found if not name.startswith("."))


# Of the catalog.
complete_app = _names(lambda: project().catalog.apps)
complete_stage = _names(lambda: project().catalog.all_stages)
# Of the archive: what has runs; a room is a stage, else a notebook.
complete_app_with_runs = _names(lambda: _folders("*/*"))
complete_room = _names(lambda: _folders("*/*/*"))
