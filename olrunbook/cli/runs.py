"""`olrunbook runs`: the archive, listed."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from olrunbook.archive import chain
from olrunbook.archive.index import search
from olrunbook.archive.index_rows import Query, Row
from olrunbook.cli.common import archive, duration, notebook_names, plain, project
from olrunbook.cli.complete import (
    complete_app_with_runs,
    complete_room,
    complete_run,
)
from olrunbook.cli.gates import waiting_run
from olrunbook.cli.state import (
    FINISHING,
    NO_RECORD,
    RUNNING,
    UNREADABLE,
    settle,
    state_of,
)
from olrunbook.cli.times import Moment, local, utc
from olrunbook.project.where import cache_dir
from olrunbook.record.files import short
from olrunbook.record.journal import read_journal
from olrunbook.steps.flow import RELEASE

WAITING = "waiting"
OPEN = (RUNNING, FINISHING, NO_RECORD)
ENDED = (
    "succeeded",
    "failed",
    "refused",
    WAITING,
    "interrupted",
    "timed-out",
    "kernel-died",
    UNREADABLE,
)
COLOURS = {
    "succeeded": "green",
    RUNNING: "cyan",
    FINISHING: "cyan",
    WAITING: "yellow",
    "refused": "yellow",
}


@click.command(
    epilog="""\b
Examples:
  olrunbook runs
  olrunbook runs tika --stage QA --notebook rollout
  olrunbook runs --status failed --status interrupted --since yesterday
  olrunbook runs --since "2026-11-24 15:00" --until 3h
  olrunbook runs --image ami-0df7e95b351bd8408 --operator ann
  olrunbook runs tika --json | jq '.[0].status'

\b
Times without a zone are local. In a pipe each run is one tab-separated line:
id, begin (UTC), app, stage, notebook, status, seconds, who, result."""
)
@click.argument("app", default="", shell_complete=complete_app_with_runs)
@click.option(
    "--stage",
    default="",
    help="Only this stage (or image_test, release, …).",
    shell_complete=complete_room,
)
@click.option("--notebook", default="", help="Only this notebook.")
@click.option("--target", default="", help="Only this target.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([*ENDED, *OPEN]),
    metavar="STATUS",
    help=f"Only runs with this status; may be repeated. {', '.join([*ENDED, *OPEN])}.",
)
@click.option("--since", type=Moment(), help="Begun at or after: 2026-11-24, 3h, …")
@click.option("--until", type=Moment(end=True), help="Begun by this time or day.")
@click.option("--operator", default="", help="Part of a name, host or identity.")
@click.option("--image", default="", help="Only runs of this image (ami-…).")
@click.option(
    "--release", default="", help="Only this release.", shell_complete=complete_run
)
@click.option(
    "-n",
    "--number",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="List at most this many.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runs(
    *,
    app: str,
    stage: str,
    statuses: tuple[str, ...],
    number: int,
    as_json: bool,
    **asked: Any,
) -> None:
    """List the runs in the archive, newest first."""
    settle()
    wanted = tuple(s for s in statuses if s in ENDED)
    wanted += ("",) if any(s in OPEN for s in statuses) else ()
    # Whether a run goes on, or still waits, is not in the index: ask for all of them.
    limit = None if {"", WAITING} & {*wanted} else number
    query = Query(app=app, room=stage, statuses=wanted, limit=limit, **asked)
    rows = [_looked_at(row) for row in search(archive(), cache_dir(), query)]
    if statuses:
        rows = [row for row in rows if row.status in statuses]
    if WAITING in statuses:
        rows = _still_waiting(rows)
    rows = rows[:number]
    if not rows:
        _require_known(app=app, stage=stage, **asked)
    if as_json:
        click.echo(json.dumps([_json(row) for row in rows], indent=1))
    elif not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(_fields(row)))
    elif rows:
        _table(rows)
    else:
        click.echo("No runs.")


def _require_known(
    *, app: str, stage: str, target: str, notebook: str, **_: object
) -> None:
    """Refuse a name that nothing has: that there are no such runs says nothing."""
    if not (app or stage or target or notebook):
        return
    from olrunbook.project.catalog import one_of  # noqa: PLC0415  (pydantic is slow)

    here, rows = project(), list(search(archive(), cache_dir(), Query()))
    catalog, books = here.catalog, notebook_names(here)
    for what, name, known in (
        ("app", app, [*catalog.apps, *(row.app for row in rows)]),
        ("stage", stage, [*catalog.all_stages, *books, *(row.room for row in rows)]),
        ("target", target, [*catalog.targets, *(row.target for row in rows)]),
        ("notebook", notebook, [*books, *(row.notebook for row in rows)]),
    ):
        if name:
            one_of(what, name, list(dict.fromkeys(known)))


def _still_waiting(rows: list[Row]) -> list[Row]:
    """Leave out what waits no more: it was taken up, or rejected."""
    ended: set[str] = set()
    waits = [row for row in rows if row.status == WAITING]
    for room in {row.folder.parent for row in waits}:
        target, app, name = room.parts[-3:]
        query = Query(target=target, app=app, room=name)
        resumes = {
            row.run_id: row.resumes if row.status else _resumed(row.folder)
            for row in search(archive(), cache_dir(), query)
        }
        mine = [row.run_id for row in waits if row.folder.parent == room]
        ended |= {*mine} - {*chain.waiting(mine, resumes, chain.entries(room))}
    for row in waits:
        if row.notebook == RELEASE and (found := waiting_run(row)):
            part = found[0]
            said = chain.entries(part.folder.parent)
            ended |= set() if chain.waiting([part.run_id], {}, said) else {row.run_id}
    return [row for row in rows if row.run_id not in ended]


def _resumed(folder: Path) -> str:
    """Return the run that one without a record takes up."""
    return next(filter(None, (e.get("resumes") for e in read_journal(folder))), "")


def _looked_at(row: Row) -> Row:
    """Return a run as it is listed; one without a record is looked at."""
    if row.status:
        return row
    from olrunbook.record.heartbeat import read_heartbeat  # noqa: PLC0415

    status = state_of(row)
    sign = read_heartbeat(row.folder)
    if status == NO_RECORD or not sign:
        return replace(row, status=status, text="")
    where = f"{sign.get('where', '')}, " if sign.get("where") else ""
    told = f"{where}last news {duration(sign.get('silent_s', 0))} before its last sign"
    return replace(row, status=status, text=told)


def _json(row: Row) -> dict[str, Any]:
    known = {
        "run_id": row.run_id,
        "notebook": row.notebook,
        "target": row.target,
        "app": row.app,
        "stage": row.room if row.room != row.notebook else "",
        "started_at": row.at.isoformat(),
    }
    try:
        found = json.loads((row.folder / "run.json").read_bytes())
        record = found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        record = {}
    status = record.get("status", row.status)
    return {**known, **record, "status": status, "folder": str(row.folder)}


def _fields(row: Row) -> list[str]:
    took = "" if row.seconds is None else f"{row.seconds:.0f}"
    at = f"{row.at:%Y-%m-%dT%H:%M:%SZ}"
    text = plain(" ".join(row.text.split()))
    names = [row.app, row.room, row.notebook]
    return [row.run_id, at, *names, row.status, took, row.who, text]


def _table(rows: list[Row]) -> None:
    """Print runs in columns, cut to the width of the terminal."""
    clock = any(local(row.at) for row in rows)
    times = ["when (UTC)", "local"] if clock else ["when (UTC)"]
    head = ["run", *times, "app", "stage", "notebook", "status", "took"]
    lines = [_cells(row, clock=clock) for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    room = shutil.get_terminal_size().columns - sum(widths) - 2 * len(widths)
    click.secho("  ".join(map(str.ljust, head, widths)).rstrip(), bold=True)
    for row, line in zip(rows, lines, strict=True):
        parts = list(map(str.ljust, line, widths))
        parts[-2] = click.style(parts[-2], fg=COLOURS.get(row.status, "red"))
        text = plain(" ".join(row.text.split()))
        if len(text) > room:
            text = f"{text[: room - 1]}…" if room > 1 else ""
        click.echo("  ".join([*parts, text]).rstrip())


def _cells(row: Row, *, clock: bool) -> list[str]:
    took = "" if row.seconds is None else duration(row.seconds)
    when = [utc(row.at), local(row.at)] if clock else [utc(row.at)]
    names = [row.app, row.room, row.notebook]
    return [short(row.run_id), *when, *names, row.status, took]
