"""`olrunbook lint`: what is missing in a project, app by app, notebook by notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from olrunbook.cli.common import project
from olrunbook.cli.complete import complete_app
from olrunbook.errors import UsageError
from olrunbook.project.where import working_folder

if TYPE_CHECKING:
    from olrunbook.adopt.lint import Report

ENDING = ".ipynb"


@click.command(
    epilog="""\b
Examples:
  olrunbook lint                          all apps, and the project's notebooks
  olrunbook lint tika                     one app
  olrunbook lint notebooks/ask.ipynb      one notebook, wherever it is
  olrunbook lint --json | jq '.rows[] | select(.level == "error")'

\b
Exit code 0: no error (warnings too), 1: errors, 2: wrong usage."""
)
@click.argument(
    "words", metavar="[APP|NOTEBOOK]…", nargs=-1, shell_complete=complete_app
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def lint(*, words: tuple[str, ...], as_json: bool) -> int:
    """Say what is missing in apps and notebooks, and what to type or write.

    Files are read, and no more: no cloud is needed, nothing is run or changed.
    """
    from olrunbook.adopt.lint import lint  # noqa: PLC0415  (heavy)
    from olrunbook.run import Run  # noqa: PLC0415

    found = project()
    paths = {word: working_folder() / word for word in words}
    notebooks = [path for word, path in paths.items() if word.endswith(ENDING)]
    if missing := [path for path in notebooks if not path.is_file()]:
        msg = f"there is no file {missing[0]}"
        raise UsageError(msg)
    apps = [word for word in paths if not word.endswith(ENDING)]
    if not words:
        apps = [*found.catalog.apps]
        notebooks = sorted(found.root.glob(f"notebooks/*{ENDING}"))
    report = lint(found, apps, notebooks, Run)
    click.echo(report.model_dump_json(indent=1) if as_json else _text(report))
    return 1 if report.errors else 0


def _text(report: Report) -> str:
    """Return one line where all is well, else a table; what to do stands below it."""
    if not report.rows:
        return report.headline()
    from olrunbook.display.render import text  # noqa: PLC0415  (heavy)
    from olrunbook.display.view import Note, View, status, table  # noqa: PLC0415

    places = [f"{r.where} cell {r.cell}" if r.cell else r.where for r in report.rows]
    both = list(zip(places, report.rows, strict=True))
    rows = [(place, status(row.level), row.wrong) for place, row in both]
    view = View(
        report.headline(),
        tone="bad" if report.errors else "warn",
        word="failed" if report.errors else "warning",
        tables=[table("", ("where", "level", "what is wrong"), rows)],
        notes=[Note(f"{place}: {row.hint}", code=True) for place, row in both],
    )
    return text(view)
