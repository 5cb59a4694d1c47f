"""`olrunbook open`: a run's HTML record, in the browser."""

from __future__ import annotations

import webbrowser

import click

from olrunbook.archive.place import HTML, NOTEBOOK
from olrunbook.cli.common import command
from olrunbook.cli.complete import complete_run, run_named
from olrunbook.errors import OlrunbookError, UsageError


@click.command(
    epilog="""\b
Examples:
  olrunbook open 0193…d02
  olrunbook open 0193…d02 --print    print the path only""",
)
@click.argument("run", shell_complete=complete_run)
@click.option("--print", "only_print", is_flag=True, help="Only print the path.")
def open(run: str, *, only_print: bool) -> None:  # noqa: A001  (the command's name)
    """Open RUN's HTML record in the browser.

    RUN is a run's id, its first or last characters, or its directory. The page needs no
    network and no server.
    """
    place = run_named(run)
    page = place.folder / HTML
    if not page.is_file():
        msg = f"run {place.run_id} has no {HTML}"
        hint = f"Its notebook: {place.folder / NOTEBOOK}"
        if not place.record.exists():
            msg += " yet: still running, or killed"
            hint = f"{command()} show {place.run_id} says which."
        raise UsageError(msg, hint)
    click.echo(str(page))
    if only_print:
        return
    if not webbrowser.open(page.as_uri()):
        msg = "no browser could be started on this machine"
        raise OlrunbookError(msg, "Open the path above, or copy the file.")
