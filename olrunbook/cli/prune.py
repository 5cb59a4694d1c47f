"""`olrunbook prune`: old runs go, and the chain still names them."""

from __future__ import annotations

import re
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import cache

import click

from olrunbook.archive import chain, verifier
from olrunbook.archive.place import RunPlace, list_runs, place_of, read_record
from olrunbook.cli.common import project
from olrunbook.cli.complete import complete_run, run_named
from olrunbook.cli.gates import masked
from olrunbook.errors import OlrunbookError, RefusedError, UsageError

UNITS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "y": 365.0}
LATE = timedelta(days=7)  # after that nobody writes a late log any more


@click.command(
    epilog="""\b
Examples:
  olrunbook prune --older-than 90d --reason "kept for a quarter"
  olrunbook prune --older-than 1y --keep 20 --dry-run
  olrunbook prune 0193…d02 --reason "names a customer" --yes

\b
Exit codes: 0 removed (or nothing to remove), 1 not confirmed, 2 usage, 4 refused:
one of the runs is still running or does not verify; then nothing is removed."""
)
@click.argument("references", metavar="[RUN]...", nargs=-1, shell_complete=complete_run)
@click.option("--older-than", default="", metavar="AGE", help="Like 12h, 90d, 1y.")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    metavar="N",
    help="Keep the N newest runs of each notebook, app and stage.",
)
@click.option("--reason", default="", help="Why; the chain keeps it.")
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(
    references: tuple[str, ...],
    *,
    older_than: str,
    keep: int | None,
    reason: str,
    dry_run: bool,
    yes: bool,
) -> int:
    """Remove old runs; the chain keeps what each was, who removed it and why.

    A run that is still running is never removed. `olrunbook verify` accepts the gaps.
    """
    if bool(references) == bool(older_than or keep is not None):
        msg = "name the runs, or choose them with --older-than and --keep"
        raise UsageError(msg, "olrunbook prune --help")
    found = project()
    outputs = found.outputs
    if references:
        wanted = [run_named(reference) for reference in references]
        chosen = list({place.folder: place for place in wanted}.values())
    else:
        chosen = _old(list(list_runs(outputs)), older_than, keep)
    _refuse(chosen)
    for place in chosen:
        click.echo(f"  {place.folder.relative_to(outputs)}")
    if dry_run or not chosen:
        click.echo(f"{len(chosen)} runs would be removed." if chosen else "No runs.")
        return 0
    if not reason.strip():
        msg = "--reason is missing: the chain keeps why a run was removed"
        raise UsageError(msg)
    if not yes:
        if not (sys.stdin and sys.stdin.isatty()):
            msg = f"no terminal to confirm the removal of {len(chosen)} runs"
            raise UsageError(msg, "Add --yes to remove them, --dry-run to list them.")
        if not click.confirm(f"Remove these {len(chosen)} runs for good?"):
            click.echo("Nothing was removed.")
            return 1
    from olrunbook.record.provenance import operator, person  # noqa: PLC0415

    who = person(operator(found.root))
    said = {"who": masked(found, who), "reason": masked(found, reason)}
    for place in chosen:
        _remove(place, **said)
    click.echo(f"{len(chosen)} runs removed; the chain still names them.")
    return 0


def _old(places: list[RunPlace], older_than: str, keep: int | None) -> list[RunPlace]:
    """Return the closed runs that are old enough, newest first."""
    before = datetime.now(UTC) - _age(older_than)
    seen: dict[tuple[str, ...], int] = {}
    chosen = []
    for place in places:
        kind = (place.target, place.app, place.room, place.notebook)
        seen[kind] = seen.get(kind, 0) + 1
        old = place.at < before and seen[kind] > (keep or 0)
        if not old or not place.record.exists():
            continue
        if not _still_written(place) and not _approved(place):
            chosen.append(place)
    return chosen


def _age(text: str) -> timedelta:
    if not text:
        return timedelta(0)
    if not (fits := re.fullmatch(r"(\d{1,5})([hdwy])", text)):
        msg = f"--older-than {text!r} is not an age"
        raise UsageError(msg, "Give a number and h, d, w or y: 90d.")
    return timedelta(days=int(fits[1]) * UNITS[fits[2]])


def _still_written(place: RunPlace) -> bool:
    """Whether a tool that outlived a run may still write its log."""
    young = [
        log.relative_to(place.folder).as_posix()
        for log in place.logs.glob("*.after.log")
        if time.time() - log.stat().st_mtime < LATE.total_seconds()
    ]
    if not young:
        return False
    mine = chain.entries_of(place.folder.parent, place.run_id)
    return not {entry.get("file") for entry in mine}.issuperset(young)


def _approved(place: RunPlace) -> str:
    """Return the run whose approval may still be used: it, or a part; else nothing."""
    from olrunbook.steps.approval.decisions import may_be_used  # noqa: PLC0415

    record = read_record(place)
    if record is None or record.status != "waiting":
        return ""
    parts = [place_of(place.outputs / part.record) for part in record.parts]
    for run in (place, *filter(None, parts)):
        if may_be_used(chain.entries(run.folder.parent), run.run_id):
            return run.run_id
    return ""


def _refuse(places: list[RunPlace]) -> None:
    """Refuse to remove what goes on, and what would be evidence of a change."""
    room_of = cache(verifier.Room)
    for place in places:
        name = f"{place.target}/{place.app}/{place.room}"
        room = room_of(str(place.outputs), name)
        entered = room.runs.get(place.run_id, {})
        if entered.get("pruned"):
            continue  # a prune that was cut off: it is repeated
        if entered and not place.record.exists():
            msg = f"run {place.run_id} has no record: still running, or killed"
            raise RefusedError(msg, "Wait until it ends, then try again.")
        if entered and _still_written(place):
            msg = f"a tool of run {place.run_id} is still finishing"
            raise RefusedError(msg, "Wait until it ends.")
        if run_id := _approved(place):
            msg = f"an approval of run {run_id} is not used yet, and has not expired"
            raise RefusedError(msg, "Resume the run, reject it, or wait.")
        said = [f for f in room.said if f["run"] == place.run_id]
        said += room.check(place.run_id)
        wrong = [f for f in said if f["level"] == "problem"]
        if wrong or not entered:
            what = wrong[0]["text"] if wrong else "it is not in the chain"
            msg = f"run {place.run_id} does not verify: {what}"
            raise RefusedError(msg, f"Look at it: olrunbook verify {place.run_id}")


def _remove(place: RunPlace, **said: str) -> None:
    """Enter a run's tombstone into its chain, then remove its directory."""
    room = place.folder.parent
    try:
        with chain.locked(room):
            mine = chain.entries_of(room, place.run_id)
            if not any(entry["kind"] == "pruned" for entry in mine):
                end = next(entry for entry in mine if entry["kind"] == "close")
                data = {"run_id": place.run_id, "folder": place.folder.name}
                data |= {key: end[key] for key in ("record_sha256", "status")}
                chain.append(room, "pruned", held=True, **data, **said)
            shutil.rmtree(place.folder)
    except OSError as error:
        msg = f"run {place.run_id} could not be removed: {error.strerror}"
        raise OlrunbookError(msg, "Those before it were. Try again.") from None
