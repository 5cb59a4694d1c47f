"""`olrunbook compare A B`: what differs between two runs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from olrunbook.archive.compare import Comparison, StepTime
from olrunbook.archive.compare import compare as compare_runs
from olrunbook.archive.place import read_record
from olrunbook.cli.common import plain
from olrunbook.cli.complete import complete_run, run_named
from olrunbook.cli.state import settle
from olrunbook.cli.times import both
from olrunbook.errors import UsageError
from olrunbook.record.files import short
from olrunbook.record.model import RunRecord

LONG = 200
SIGNS = {"+": "green", "-": "red"}


@click.command(
    epilog="""\b
Examples:
  olrunbook compare 0193…c41 0193…d02
  olrunbook compare 0193…c41 0193…d02 --json | jq .differences
  olrunbook compare c41aaf d02c41 && echo "the same except for times"

\b
Exit codes: 0 the same except for times, 1 something differs, 2 a run cannot be read."""
)
@click.argument("first", metavar="A", shell_complete=complete_run)
@click.argument("second", metavar="B", shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(first: str, second: str, *, as_json: bool) -> int:
    """Show what differs between two runs: source, parameters, results, step times.

    Times, ids and the order of unordered things do not count.
    """
    settle()
    one, two = _read(first), _read(second)
    found = compare_runs(one, two)
    if as_json:
        ids = {"first": one[0].run_id, "second": two[0].run_id}
        click.echo(json.dumps({**ids, **found.plain()}, indent=1))
    else:
        _print(found, one[0], two[0])
    return 0 if found.same else 1


def _read(reference: str) -> tuple[RunRecord, Path]:
    place = run_named(reference)
    if record := read_record(place):
        return record, place.folder
    msg = f"{short(place.run_id)} has no record: still running, or unreadable"
    raise UsageError(msg, f"Look at it: olrunbook show {place.run_id}")


def _print(found: Comparison, one: RunRecord, two: RunRecord) -> None:
    said = "The same except for times." if found.same else _counts(found)
    click.secho(said, bold=True)
    for name, run in (("A", one), ("B", two)):
        what = " ".join(x for x in (run.notebook, run.app, run.stage) if x)
        when = both(run.started_at)
        click.echo(f"  {name} {short(run.run_id)}  {what}  {run.status}  {when}")
    for section, differences in groupby(found.differences, lambda d: d.section):
        click.secho(section, bold=True)
        for difference in differences:
            click.echo(f"  {difference.name}")
            for sign, value in (("-", difference.first), ("+", difference.second)):
                if value not in (None, [], {}):
                    click.secho(f"    {sign} {_value(value)}", fg=SIGNS[sign])
    for cell in found.source:
        click.secho(f"source, {cell.cell}", bold=True)
        for line in map(plain, cell.lines):
            click.secho(f"  {line}", fg=SIGNS.get(line[:1]))
    _times(found.times)


def _counts(found: Comparison) -> str:
    sections = Counter(difference.section for difference in found.differences)
    parts = [f"{section} ({number})" for section, number in sections.items()]
    parts += [f"source ({len(found.source)} cells)"] if found.source else []
    return f"Different: {', '.join(parts)}."


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = plain(text)
    # A terminal shows the beginning; a pipe and --json have the whole.
    return f"{text[:LONG]}…" if sys.stdout.isatty() and len(text) > LONG else text


def _times(times: list[StepTime]) -> None:
    click.secho("times", bold=True)
    width = max(len(step.name) for step in times)
    for step in times:
        sides = [
            f"{'—' if value is None else f'{value:.1f} s':>10}"
            for value in (step.first, step.second)
        ]
        delta = "" if step.delta is None else f"{step.delta:+10.1f} s"
        click.echo(f"  {step.name:<{width}}{''.join(sides)}{delta}")
