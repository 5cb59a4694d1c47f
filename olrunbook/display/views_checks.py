"""How preflights and the checks of a stage are shown."""

from __future__ import annotations

from olrunbook.display.shown import view_of
from olrunbook.display.view import Cell, Note, View, plain, seconds, status, table
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
