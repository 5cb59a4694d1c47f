"""How preflights, the checks of a stage and the board over all stages are shown."""

from __future__ import annotations

from collections.abc import Iterator

from olrunbook.display.shown import view_of
from olrunbook.display.view import Cell, Note, View, plain, seconds, status, table
from olrunbook.record.files import minute, short
from olrunbook.steps.board import Board, StageStatus
from olrunbook.steps.checks import ChecksResult
from olrunbook.steps.doctor import Diagnosis
from olrunbook.steps.preflight import CheckRow, PreflightResult


@view_of.register
def preflight_view(result: PreflightResult) -> View:
    """Return the table of a preflight; what can be done stands below it."""
    rows = [
        (row.name, status(row.status), row.found, row.wanted) for row in result.rows
    ]
    hints = [
        Note(f"{row.name}: {row.hint}", tone="bad" if row.status == "failed" else "")
        for row in result.rows
        if row.hint and row.status != "ok"
    ]
    if result.failed:
        hints.append(Note("Nothing was changed."))
    return View(
        result.headline(),
        tone="bad" if result.failed else "ok",
        word="refused" if result.failed else "ready",
        tables=[table("Preflight", ("check", "status", "found", "wanted"), rows)],
        notes=hints,
    )


@view_of.register
def doctor_view(found: Diagnosis) -> View:
    """Return the table of all checks; what to type stands below it, unbroken."""
    alike: dict[CheckRow, list[str]] = {}
    for row in found.rows:
        alike.setdefault(row.model_copy(update={"where": ""}), []).append(row.where)
    rows = [
        (row.name, ", ".join(places), status(row.status), row.found, row.wanted)
        for row, places in alike.items()
    ]
    hints = [
        Note(
            " ".join(filter(None, (row.name, ", ".join(places)))) + f": {row.hint}",
            tone="bad" if row.status == "failed" else "warn",
            code=True,
        )
        for row, places in alike.items()
        if row.hint and row.status != "ok"
    ]
    columns = ("check", "where", "status", "found", "wanted")
    return View(
        found.headline(),
        tone="bad" if found.failed else "ok",
        word="failed" if found.failed else "ok",
        tables=[table("", columns, rows)],
        notes=hints,
    )


@view_of.register
def checks_view(result: ChecksResult) -> View:
    """Return the table of a stage's checks."""
    rows = [
        (
            row.name,
            status("ok" if row.ok else "failed"),
            Cell(row.request, code=True),
            row.wanted,
            row.found,
            seconds(row.seconds),
            Cell(row.target, code=True),
        )
        for row in result.answers
    ]
    columns = ("check", "status", "request", "wanted", "found", "took", "answered by")
    good = all(row.ok for row in result.answers)
    return View(
        result.headline(),
        tone="ok" if good else "bad",
        word="ok" if good else "failed",
        tables=[table(f"Checks of {result.url}", columns, rows)],
        notes=plain(result.notes),
    )


@view_of.register
def board_view(board: Board) -> View:
    """Return the table of the stages; the first line answers the question."""
    rows = [
        (
            row.app,
            row.stage,
            Cell("\n".join(f"{n}={i}" for n, i in row.images.items()), code=True),
            minute(row.since) if row.since else "not known",
            Cell(short(row.run) if row.run else "", title=row.run, code=True),
            row.serving,
        )
        for row in board.rows
    ]
    told = [note for row in board.rows for note in _notes(row)]
    if board.asked:
        told.append(Note(f"Account and stacks were not asked, because {board.asked}."))
    when = "now" if board.now else f"at {board.at:%Y-%m-%d %H:%M:%S} UTC"
    columns = ("app", "stage", "image set", "since", "by run", "the account says")
    odd = any(row.unexplained or row.mixed for row in board.rows)
    odd = odd or bool(board.now and board.asked)
    return View(
        board.headline(),
        tone="warn" if odd else "ok",
        word=when,
        tables=[table(f"What serves in {board.target}", columns, rows)],
        notes=told,
    )


def _notes(row: StageStatus) -> Iterator[Note]:
    """Yield what is open in a stage, a line each, with what to type."""
    where = f"{row.app} {row.stage}: "
    if row.refresh:
        yield Note(f"{where}in progress: {row.refresh}")
    if row.mixed:
        yield Note(f"{where}mixed: {row.mixed}", tone="warn")
    yield from (Note(where + text) for text in row.later)
    for waits in row.waiting:
        run = short(waits)
        if again := row.approved.get(waits):
            text = f"run {run} is approved; go on: olrunbook resume {short(again)}"
            yield Note(f"{where}{text}", tone="warn")
            continue
        on = "--resume"
        if waits in row.signed:
            on = f"--sign KEYFILE, then olrunbook resume {run}"
        text = f'olrunbook approve {run} --reason "…" {on}'
        yield Note(f"{where}run {run} waits for approval: {text}", tone="warn")
    for run in map(short, row.emergencies):
        text = f'olrunbook countersign {run} --reason "…" --sign KEYFILE'
        yield Note(f"{where}emergency {run}, not countersigned: {text}", tone="warn")
    for text in row.unexplained:
        yield Note(f"{where}no record explains: {text}", tone="bad")
