"""What several commands need: the project, the cloud, lines for people."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from olrunbook.errors import RefusedError, UsageError
from olrunbook.events import Event
from olrunbook.project.where import archive_of, find_root
from olrunbook.steps.flow import FLOW, RELEASE

if TYPE_CHECKING:
    from olrunbook.project.catalog import Project
    from olrunbook.record.model import RunRecord
    from olrunbook.targets import Target
    from olrunbook.toolchain.model import Toolchain


EVERY_S = 15.0  # progress is printed at most so often; everything else at once


def project() -> Project:
    """Return the project in use."""
    from olrunbook.project.catalog import find_project  # noqa: PLC0415  (pydantic is slow)

    return find_project()


def archive() -> Path:
    """Return the archive in use; no catalog is read for it."""
    return archive_of(find_root()[0])


def command() -> str:
    """Return how this olrunbook is called, for hints that are to be typed."""
    named = os.environ.get("OLRUNBOOK_PROJECT")
    return f"olrunbook --project {named}" if named else "olrunbook"


def duration(seconds: float) -> str:
    """Return seconds as a person reads them: `9 s`, `3 min 10 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def hints(record: RunRecord) -> list[str]:
    """Return what the reader of a run can do about each of its steps, a line each."""
    waits = record.status == "waiting"
    steps = [one for one in record.steps if waits or one.status != "waiting"]
    return [f"  What you can do: {step.hint}" for step in steps if step.hint]


def plain(text: str) -> str:
    """Return a text on one line, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.splitlines()))


def ensure_cloud(
    project: Project,
    target: str,
    *,
    start: bool = True,
    containers: bool | None = None,
    aws_order: bool | None = None,
    stage: str = "",
) -> Target:
    """Return the target, up and with its tools; start the rehearsal if it is not.

    Args:
        project: The project in use.
        target: The target's name.
        start: False: what is asked for works on what is there, so nothing is started.
        containers: Instances are containers; None: as the one that is up, else True.
        aws_order: InService before the health check counts; None: as above.
        stage: The stage, whose role an account asks for; empty: the one of builds.

    Raises:
        UsageError: The catalog has no such target.
        RefusedError: It is not up, and is not to be started; the account or who we are
            there is another than the catalog says.
        OlrunbookError: A tool or the cloud cannot be had; the message says what to do.

    """
    from olrunbook.targets import (  # noqa: PLC0415
        load_target,
        not_up,
        require_target,
        save_target,
    )

    require_target(project.catalog, target)
    from olrunbook import toolchain  # noqa: PLC0415

    if project.catalog.targets[target].kind == "aws":
        place = load_target(target, project, stage)
        who = place.identified()  # before a tool is looked for, or a run is opened
        chain = toolchain.ensure(emit=EchoEvents())
        # For notebooks. A proxy of the person's may have a password: it is not kept.
        save_target(_with_tools(place.model_copy(update={"env": {}}), chain))
        return _with_tools(who, chain)
    from olrunbook.rehearsal import lifecycle  # noqa: PLC0415
    from olrunbook.rehearsal.named import make_named  # noqa: PLC0415

    now = lifecycle.status(project.root, docker=False)
    if not start and not now.up:
        msg = f"{not_up(project.catalog)}, so nothing of the app is in it"
        hint = f"Start it: {command()} rehearsal up, or with a release: make release"
        raise RefusedError(msg, hint)
    emit = EchoEvents()
    chain = toolchain.ensure(emit=emit)
    settings = None
    if containers is None and aws_order is None:  # whatever is up will do …
        settings = now.settings
        if settings and not settings.containers:  # … if it has machines
            msg = "the rehearsal is up without containers, so it cannot build an image"
            hint = "olrunbook rehearsal down, then olrunbook rehearsal up"
            raise RefusedError(msg, hint)
    found = lifecycle.up(
        project.root,
        containers=containers is not False,
        aws_order=bool(aws_order),
        settings=settings,
        emit=emit,
    )
    merged = _with_tools(found, chain)
    if merged != found:
        save_target(merged)
    make_named(project, merged)
    return merged


def _with_tools(place: Target, chain: Toolchain) -> Target:
    """Return a target that leads to the tools."""
    tools = chain.environment()
    path = tools.pop("PATH", "").split(os.pathsep)
    return place.model_copy(
        update={
            "path": [folder for folder in path if folder],
            "env": {**place.env, **tools},
            "tools": {name: tool.told for name, tool in chain.tools.items()},
        }
    )


def notebook_path(project: Project, name: str) -> Path:
    """Return the path of a notebook of the project (or the one shipped).

    Raises:
        UsageError: There is none of the name.

    """
    try:
        return project.path(f"notebooks/{name}.ipynb")
    except UsageError:
        have = ", ".join(notebook_names(project))
        msg = f"there is no notebook {name!r}; choose from: {have}"
        raise UsageError(msg) from None


def notebook_names(project: Project) -> list[str]:
    """Return the names of the notebooks there are, in the order of the flow."""
    flow = [*(row.notebook for row in FLOW), RELEASE]
    found = {path.stem for path in project.notebooks()}
    return [n for n in flow if n in found] + sorted(found - set(flow))


class EchoEvents:
    """Prints what a person waits for while something is started or built."""

    def __init__(self) -> None:
        self._told = float("-inf")

    def __call__(self, event: Event) -> None:
        """Print an event's line."""
        clock = time.monotonic()
        if event.kind == "progress" and clock - self._told < EVERY_S:
            return
        if event.kind in ("phase", "progress", "artifact", "warning", "error"):
            self._told = clock
            click.echo(f"  {event.text}", err=True)
