"""`olrunbook init`: a catalog of a repository that exists, or an empty project."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING

import click

from olrunbook.errors import UsageError
from olrunbook.project.where import CATALOG, working_folder

if TYPE_CHECKING:
    from olrunbook.adopt.init import Proposal


@click.command(
    epilog="""\b
Examples:
  olrunbook init                        write catalog.toml of what is here
  olrunbook init ../ol-infra --print    show it, write nothing
  olrunbook init --new hello            an app to begin with, here
  olrunbook init --new hello my         … in the folder `my`
  olrunbook init --print --json | jq -r '.unknown[]'

\b
Exit code 0: written or shown, 2: wrong usage, nothing was written."""
)
@click.argument("folder", type=click.Path(file_okay=False), default=".")
@click.option("--new", metavar="NAME", help="Start a project with an app NAME.")
@click.option("--print", "only_print", is_flag=True, help="Print it, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def init(*, folder: str, new: str | None, only_print: bool, as_json: bool) -> int:
    """Write catalog.toml of the templates, deploys and stacks in FOLDER.

    Files are read as text, and nothing is run. What it is not sure of, it writes as a
    comment, marked with `#?`, and lists at the end. A file that is there is never
    overwritten.
    """
    if not folder:
        msg = "the folder's name is empty; leave it out, or give one"
        raise UsageError(msg)
    root = working_folder() / folder
    at = os.path.relpath(root, working_folder())
    if new is not None:
        if only_print:
            msg = "--new and --print do not go together: a project is many files"
            raise UsageError(msg)
        from olrunbook.adopt.new import start  # noqa: PLC0415  (heavy)

        files = [str(file) for file in start(root, new)]
        said = {"folder": at, "files": files}
        click.echo(json.dumps(said, indent=1) if as_json else _started(at, new, files))
        return 0
    if not root.is_dir():
        msg = f"there is no folder {folder}"
        raise UsageError(msg)
    file = root / CATALOG
    if file.exists() and not only_print:
        msg = f"{at}/{CATALOG} is there already, and is never overwritten"
        raise UsageError(msg, "Show what it would be: olrunbook init --print")
    from olrunbook.adopt.init import propose  # noqa: PLC0415  (heavy)
    from olrunbook.adopt.tree import survey  # noqa: PLC0415

    found = propose(survey(root))
    if not found.apps:
        msg = f"{at} has no pyinfra deploy (a deploy.py in a folder named like its app)"
        raise UsageError(msg, "Start a project: olrunbook init --new NAME")
    if not only_print:
        file.write_text(found.catalog, encoding="utf-8")
    if as_json:
        written = None if only_print else f"{at}/{CATALOG}"
        click.echo(json.dumps({"file": written, **found.model_dump()}, indent=1))
        return 0
    if only_print:
        click.echo(found.catalog, nl=False)
    click.echo(_told(found, "" if only_print else at), err=only_print)
    return 0


def _started(at: str, name: str, files: list[str]) -> str:
    here = "" if at == "." else f" --project {shlex.quote(at)}"
    rows = ["Written:", *(f"  {file}" for file in files), "", "Next:"]
    rows.append(f"  olrunbook{here} lint")
    return "\n".join([*rows, f"  olrunbook{here} release {name}"])


def _told(found: Proposal, at: str) -> str:
    """Return what was found, what could not be known, and what comes next."""
    width = max(map(len, found.apps))
    rows = [f"{name:<{width}}  {', '.join(of)}" for name, of in found.apps.items()]
    rows += ["", "What could not be known (`#?` in the catalog):"]
    rows += [f"  {line}" for line in found.unknown]
    for pin in found.pins:
        rows += ["", *pin.splitlines()]
    if at:
        here = "" if at == "." else f" --project {shlex.quote(at)}"
        rows += ["", f"Written: {at}/{CATALOG}. Next: olrunbook{here} lint"]
    return "\n".join(rows)
