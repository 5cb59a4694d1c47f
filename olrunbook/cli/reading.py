"""`olrunbook runs` and `olrunbook show`: the archive, read."""

from __future__ import annotations

import json
from datetime import datetime

import click
from rich.console import Console
from rich.text import Text

from olrunbook.cli.common import duration, project
from olrunbook.gates import short
from olrunbook.imageset import format_images
from olrunbook.record.archive import RunPlace, find_run, list_runs, read_record
from olrunbook.record.model import RunRecord

WORDS = {"done": "✓", "failed": "✗", "refused": "⊘", "interrupted": "■", "waiting": "⋯"}


@click.command(
    epilog="""\b
Examples:
  olrunbook runs
  olrunbook runs tika --stage QA --notebook rollout
  olrunbook runs tika --json | jq '.[0].status'"""
)
@click.argument("app", default="")
@click.option("--stage", default="", help="Only this stage (or image, release).")
@click.option("--notebook", default="", help="Only this notebook.")
@click.option("--target", default="", help="Only this target.")
@click.option("-n", "--number", default=20, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print them for a program.")
def runs(
    app: str, *, stage: str, notebook: str, target: str, number: int, as_json: bool
) -> None:
    """List the runs in the archive, newest first."""
    places = list_runs(
        project().outputs,
        target=target or None,
        app=app or None,
        room=stage or None,
        notebook=notebook or None,
    )
    rows = [(place, read_record(place)) for _, place in zip(range(number), places)]  # noqa: B905
    if as_json:
        found = [
            json.loads(record.model_dump_json(by_alias=True))
            if record
            else {
                "run_id": place.run_id,
                "status": "no record",
                "folder": str(place.folder),
            }
            for place, record in rows
        ]
        click.echo(json.dumps(found, indent=1))
        return
    if not rows:
        click.echo("No runs.")
        return
    _table([_row(place, record) for place, record in rows])


def _row(place: RunPlace, record: RunRecord | None) -> list[str]:
    """Return one run as texts, its result last."""
    if record is None:
        status, took, what = "no record", "", "it goes on, or was killed"
    else:
        took = duration((record.ended_at - record.started_at).total_seconds())
        status, what = record.status, record.headline or record.cause
    when = f"{place.at:%Y-%m-%d %H:%M:%S}"
    head = [short(place.run_id), when, place.app, place.room, place.notebook]
    return [*head, status, took, what]


def _table(rows: list[list[str]]) -> None:
    """Print rows in columns; on a terminal the last one is cut to its width."""
    console = Console(highlight=False, soft_wrap=True)
    lines = [["run", "when (UTC)", "app", "stage", "notebook", "status", "took", ""]]
    lines += rows
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]) - 1)]
    for line in lines:
        text = "  ".join(
            f"{part:<{width}}" for part, width in zip(line, widths, strict=False)
        )
        text = f"{text}  {line[-1]}".rstrip()
        if console.is_terminal and len(text) > console.width:
            text = text[: console.width - 1] + "…"
        console.print(Text(text))


@click.command(
    epilog="""\b
Examples:
  olrunbook show 0193…d02
  olrunbook show outputs/rehearsal/tika/CI/2026-11-23T15-09-44Z_deploy_0193…"""
)
@click.argument("reference")
@click.option("--json", "as_json", is_flag=True, help="Print its run.json.")
def show(reference: str, *, as_json: bool) -> None:
    """Show one run on one screen: what, who, result, steps, logs."""
    place = find_run(project().outputs, reference)
    record = read_record(place)
    if record is None:
        click.echo(f"{place.folder} has no record: the run goes on, or was killed.")
        return
    if as_json:
        click.echo(record.model_dump_json(by_alias=True, indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    parts = [record.notebook, record.app, record.stage or "—", record.status]
    took = duration((record.ended_at - record.started_at).total_seconds())
    console.print(
        f"{' · '.join(parts)}   {_when(record.started_at)}, {took}", style="bold"
    )
    for name, text in _lines(record):
        console.print(f"{name:<10} {text}")
    for step in record.steps:
        mark = WORDS.get(step.status, "·")
        seconds = f"{step.seconds:.1f} s" if step.seconds is not None else ""
        text = step.headline if step.status == "done" else step.cause
        console.print(
            f"  {mark} {step.name:<12} {step.status:<12} {seconds:>9}  {text}"
        )
    for part in record.parts:
        what = part.headline or part.cause
        console.print(
            f"  {part.notebook:<12} {part.stage:<11} {part.status:<11} "
            f"{part.seconds:>6.1f} s  {short(part.run_id)}  {what}"
        )
    sizes = ", ".join(f"{n} ({_size(f.size)})" for n, f in record.files.items())
    console.print(f"{'files':<10} {sizes}")


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC ({at.astimezone():%H:%M %Z})"


def _lines(record: RunRecord) -> list[tuple[str, str]]:
    who = record.operator.get("user")
    host = record.operator.get("host")
    git = record.operator.get("git")
    build = record.operator.get("ci_build")
    person = f"{who.value if who else '?'}@{host.value if host else '?'}"
    detail = ", ".join(x for x in (git.value if git else "", record.identity) if x)
    dirty = f"{len(record.dirty)} files changed" if record.dirty else "clean"
    source = f"{record.commit[:7] or 'no commit'} ({dirty})"
    lines = [
        (
            "who",
            f"{person} ({detail})" + (f"  CI build {build.value}" if build else ""),
        ),
        (
            "from",
            f"{source} · {record.notebook}.ipynb sha256 {record.source_sha256[:8]}…",
        ),
    ]
    if record.cause:
        lines.insert(0, ("cause", record.cause))
    elif record.headline:
        lines.insert(0, ("result", record.headline))
    if record.images:
        lines.append(("images", format_images(record.images)))
    if record.target:
        lines.append(("target", f"{record.target}, cloud {record.cloud_id or '—'}"))
    if record.release:
        lines.append(("release", short(record.release)))
    lines += [("stand-in", text) for text in record.stand_ins]
    lines += [("left", f"still finishing: {text}") for text in record.finishing]
    return lines


def _size(size: int) -> str:
    return f"{size} B" if size < 1000 else f"{size / 1000:.0f} kB"  # noqa: PLR2004
