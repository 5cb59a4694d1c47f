"""`olrunbook show`: one run on one screen, or as Markdown for a pull request."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import Any

import click

from olrunbook.archive import chain, verifier
from olrunbook.archive.place import RunPlace, read_record
from olrunbook.archive.seal import build_record
from olrunbook.cli.common import command, duration, plain
from olrunbook.cli.complete import complete_run, run_named
from olrunbook.cli.gates import waiting_run
from olrunbook.cli.runs import COLOURS
from olrunbook.cli.state import UNREADABLE, settle, state_of
from olrunbook.cli.summary import Summary, markdown, summary
from olrunbook.cli.times import both
from olrunbook.record.files import short
from olrunbook.record.heartbeat import read_heartbeat
from olrunbook.record.model import RunRecord

NAME = 10


@click.command(
    epilog="""\b
Examples:
  olrunbook show 0193…d02
  olrunbook show outputs/rehearsal/tika/CI/2026-11-23T15-09-44Z_deploy_0193…
  olrunbook show d02c41 --markdown | gh pr comment 118 --body-file -
  olrunbook show d02c41 --json | jq '.steps[] | {name, status, seconds}'"""
)
@click.argument("run", shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print its run.json.")
@click.option("--markdown", "as_markdown", is_flag=True, help="For a pull request.")
def show(run: str, *, as_json: bool, as_markdown: bool) -> None:
    """Show one run on one screen: what, who, result, gates, steps, logs.

    RUN is its id, the beginning or end of it (at least 3 characters), or its directory.
    """
    if as_json and as_markdown:
        msg = "give --json or --markdown, not both"
        raise click.UsageError(msg)
    settle()
    place = run_named(run)
    record = read_record(place)
    if as_json:
        click.echo(_json(place, record))
        return
    told, when = _told(place, record)
    if as_markdown:
        click.echo(markdown(told, when, place.folder))
    else:
        _print(told, when)


def _json(place: RunPlace, record: RunRecord | None) -> str:
    if record:
        return record.model_dump_json(by_alias=True, indent=1)
    facts = {"run_id": place.run_id, "status": state_of(place)}
    return json.dumps({**facts, "folder": str(place.folder)}, indent=1)


def _told(place: RunPlace, record: RunRecord | None) -> tuple[Summary, str]:
    """Return what is to be said and when it was, with the chain's word on it."""
    if record:
        took = duration((record.ended_at - record.started_at).total_seconds())
        told = summary(record, place)
        told.lines[:0] = _emergency(place)
        if record.status == "waiting":
            waits = waiting_run(place, record)  # of a release the part that waits
            told.lines.extend(_decisions(waits[0] if waits else place))
        told.lines.append(("chain", _chain(place)))
        return told, f"{both(record.started_at)}, {took}"
    state = state_of(place)
    told = summary(build_record(place, {}), place, status=state)
    sign = read_heartbeat(place.folder)
    if state == UNREADABLE:
        told.lines.insert(0, ("cause", "its run.json cannot be read"))
    if sign:
        text = f"{sign.get('where', '')}, {duration(sign.get('elapsed_s', 0))} after "
        text += f"its begin; silent for {duration(sign.get('silent_s', 0))}"
        told.lines.insert(0, ("last sign", text))
    return told, both(place.at)


def _emergency(place: RunPlace) -> list[tuple[str, str]]:
    """Return whether it changed something on one person's word, from the chain."""
    from olrunbook.steps.approval.emergency import emergencies  # noqa: PLC0415

    lines = []
    for one in emergencies(chain.entries(place.folder.parent)):
        if one.use.get("run_id") == place.run_id:
            text = f"approved by {one.approval.get('person')} alone, "
            text += f'"{one.approval.get("reason")}"; '
            text += _countersigned(one.countersigned, place)
            lines.append(("EMERGENCY", text))
    return lines


def _countersigned(entry: dict[str, Any] | None, place: RunPlace) -> str:
    if entry is None:
        name = f"{command()} countersign {short(place.run_id)}"
        return f"nobody has countersigned it yet: {name} --sign KEYFILE"
    why = f'{entry.get("at")}, "{entry.get("reason")}"'
    return f"countersigned by {entry.get('person')} ({entry.get('known')}) {why}"


def _decisions(place: RunPlace) -> list[tuple[str, str]]:
    """Return what people have said since a run waits, from the chain."""
    lines = []
    for entry in chain.entries(place.folder.parent):
        kind, mine = entry["kind"], entry.get("run_id") == place.run_id
        if kind in ("approved", "rejected") and mine:
            ends = f", until {entry.get('until')}" if kind == "approved" else ""
            text = f"{kind} by {entry.get('person')} ({entry.get('known')}) "
            text += f'{entry.get("at")}, "{entry.get("reason")}", '
            lines.append(("gate", f"{text}shown {str(entry.get('digest'))[:4]}…{ends}"))
        elif kind == "used" and place.run_id in str(entry.get("runs")):
            text = f"run {short(str(entry.get('run_id')))} went on with it"
            lines.append(("gate", f"{text} {entry.get('at')}"))
    return lines


def _chain(place: RunPlace) -> str:
    """Return what the verifier says of this run and the chain it is in."""
    try:
        report = verifier.verify(str(place.outputs), str(place.folder))
    except (LookupError, OSError, ValueError) as error:
        return f"✗ cannot be checked: {error}"
    entries = f"{report['entries']} entries"
    if report["good"]:
        return f"✓ this run's files and the chain ({entries}) are unchanged"
    first, wrong = report["problems"][0], len(report["problems"])
    what = " ".join(filter(None, (first["file"], first["text"])))
    more = f", and {wrong - 1} more" if wrong > 1 else ""
    return f"✗ WRONG: {what}{more}. Details: olrunbook verify {place.run_id}"


def _print(told: Summary, when: str) -> None:
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else 0
    status = told.title.rpartition(" · ")[2]
    head = f"{told.title}   {when}"
    click.secho(plain(head), bold=True, fg=COLOURS.get(status, "red"))
    for name, text in told.lines:
        _line(name, text, width)
    for title, rows in (("steps", told.steps), ("parts", told.parts)):
        if rows:
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for number, row in enumerate(rows):
                text = "  ".join(map(str.ljust, row, widths[:-1])) + f"  {row[-1]}"
                _line("" if number else title, text, width)
    files = " · ".join(f"{name} ({how_big})" for name, how_big in told.files)
    if files:
        _line("files", files, width)


def _line(name: str, text: str, width: int) -> None:
    """Print a name and its text; on a terminal what is long goes on below itself."""
    text = plain(text)
    indent = " " * (NAME + 1)
    room = max(width - len(indent), 40)
    pieces = textwrap.wrap(text, room) if width and len(text) > room else [text]
    lines = f"\n{indent}".join(pieces)
    click.echo(f"{name:<{NAME}} {lines}".rstrip())
