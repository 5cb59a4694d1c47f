"""`olrunbook release APP`, `rollback APP STAGE`: the rows a person watches."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from olrunbook.cli import gates
from olrunbook.cli.common import (
    command,
    duration,
    ensure_cloud,
    hints,
    notebook_path,
    project,
)
from olrunbook.cli.complete import complete_app
from olrunbook.cli.state import settle
from olrunbook.errors import UsageError
from olrunbook.processes.grace import grace_s
from olrunbook.project.imageset import LAST_GOOD, parse_images
from olrunbook.project.tools import needed
from olrunbook.record.model import RunRecord

if TYPE_CHECKING:
    from olrunbook.pipeline import Release
    from olrunbook.project.catalog import Project

QUIET_S = 20.0  # how often a log without a terminal is told that work goes on
MARKS = {"succeeded": "✓", "interrupted": "■", "waiting": "⋯", "refused": "⊘"}
COLOURS = {"succeeded": "green", "waiting": "yellow"}


class Rows:
    """One row a run: live on a terminal, plain lines in a log."""

    def __init__(self, app: str, console: Console) -> None:
        self.app, self.console = app, console
        self.step = self.stage = self.news = ""
        self.began = self.told = time.monotonic()
        self.live: Live | None = None

    def _row(self, text: str, mark: str, seconds: float, style: str) -> Text:
        head = f"{self.app}  {self.step:<11} {self.stage or '─' * 5:<11}"
        tail = f" {mark} {duration(seconds):>10}"
        terminal = self.console.is_terminal
        left = self.console.width - len(head) - len(tail) - 1
        room = max(20, left) if terminal else 64
        if len(text) > room and terminal:
            text = text[: room - 1] + "…"
        row = Text(head, no_wrap=True)
        row.append(f"{text:<{room}}")
        row.append(tail, style=style)
        return row

    def started(self, step: str, stage: str) -> None:
        """Open a row."""
        self.step, self.stage, self.news = step, stage, ""
        self.began = self.told = time.monotonic()
        if self.console.is_terminal:
            self.live = Live(
                get_renderable=self._now,
                console=self.console,
                refresh_per_second=4,
                transient=True,
            )
            self.live.start()

    def _now(self) -> Text:
        return self._row(self.news, "⋯", time.monotonic() - self.began, "yellow")

    def progress(self, text: str) -> None:
        """Take the news of the row."""
        self.news = text
        clock = time.monotonic()
        if self.live is None and clock - self.told > QUIET_S:
            self.told = clock
            self._print(text, "⋯", clock - self.began, "")

    def kept(self, step: str, stage: str, record: RunRecord) -> None:
        """Show a run that is kept."""
        self.step, self.stage = step, stage
        self._print(f"kept: {record.headline}", "✓", 0.0, "dim")

    def ended(self, record: RunRecord, seconds: float) -> None:
        """Close the row."""
        if self.live:
            self.live.stop()
            self.live = None
        text, mark = record.cause, MARKS.get(record.status, "✗")
        if record.status == "succeeded":
            text = record.headline
        elif not text.startswith(record.status):
            text = f"{record.status}: {text}"
        self._print(text, mark, seconds, COLOURS.get(record.status, "bold red"))
        for line in hints(record) if mark not in "✓⋯" else ():
            self.console.print(line, soft_wrap=True)

    def _print(self, text: str, mark: str, seconds: float, style: str) -> None:
        # A log has no width: a row stays one line.
        wrap = not self.console.is_terminal
        self.console.print(self._row(text, mark, seconds, style), soft_wrap=wrap)


def gated(function: Any) -> Any:
    """Add the options about gates."""
    function.__click_params__ = gates.gate_options()[::-1]  # click's own order
    return function


@click.command(
    epilog="""\b
Examples:
  olrunbook release tika                                   all stages, a new image
  olrunbook release tika --to QA
  olrunbook release tika --images server=ami-0df7e95b351bd8408
  olrunbook release tika --gate Production                 waits there for approval"""
)
@click.argument("app", shell_complete=complete_app)
@click.option("--to", default="", metavar="STAGE", help="The last stage; default: all.")
@click.option(
    "--images",
    default="",
    metavar="SET",
    help="Release this image set, `node_type=ami-…`; default: test and build one.",
)
@click.option(
    "--variable",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="A Packer variable for the build; may be repeated.",
)
@click.option(
    "--target", default="rehearsal", show_default=True, help="Where to release."
)
@click.option("--json", "as_json", is_flag=True, help="Print the release's run.json.")
@gated
def release(
    app: str,
    *,
    to: str,
    images: str,
    variables: tuple[str, ...],
    target: str,
    as_json: bool,
    **asked: Any,
) -> int:
    """Release APP: test and bake its image, deploy and roll it out in each stage.

    Stops at the first step that did not succeed. Every step is an executed notebook in
    the archive, and the release has a record of its own.
    """
    found = project()
    # Everything that was typed is checked before anything is started or built.
    spec = found.catalog.app(app)
    if to:
        found.catalog.stage(to, app)
    if images:
        parse_images(images, spec.node_types)
        if variables:
            msg = "--variable needs a build; --images names a set that is built already"
            raise UsageError(msg)
    for text in variables:
        if "=" not in text:
            msg = f"--variable {text!r} is not of the form NAME=VALUE"
            raise UsageError(msg)
    built = [] if images else [spec.image.template, spec.image.deploy]
    for path in [*built, *([spec.stack.path] if spec.stack else [])]:
        found.path(path)
    stages = _through(found, app, to)
    typed = gates.chosen(found, app, target, stages, **asked)
    what = {"to": to, "images": images, "variables": ";".join(variables)}
    return run_release(found, app, target, as_json=as_json, typed=typed, **what)


@click.command(
    epilog="""\b
Examples:
  olrunbook rollback tika Production
  olrunbook rollback concourse CI --by-hand-done --reason "migrated down to 1700"
  olrunbook rollback tika CI --override revoked --reason "better than nothing\""""
)
@click.argument("app", shell_complete=complete_app)
@click.argument("stage")
@click.option(
    "--by-hand-done",
    is_flag=True,
    help="What the catalog says must be done first is done; needs --reason.",
)
@click.option(
    "--target", default="rehearsal", show_default=True, help="Where it goes back."
)
@click.option("--json", "as_json", is_flag=True, help="Print the rollback's run.json.")
@gated
def rollback(
    app: str,
    stage: str,
    *,
    by_hand_done: bool,
    target: str,
    as_json: bool,
    **asked: Any,
) -> int:
    """Go back: deploy and roll out what served well in STAGE of APP before.

    That is the newest image set with a succeeded rollout there which is not the stage's
    now, exists, and is not revoked. Nothing but the stage's own gate is asked. It may
    start while a refresh that will come to nothing is at work, and cancels that.
    """
    found = project()
    found.catalog.stage(stage, app)
    asked["rules"] += ("by-hand",) if by_hand_done else ()
    typed = gates.chosen(found, app, target, [stage], **asked)
    back = {"to": stage, "images": LAST_GOOD}
    return run_release(found, app, target, as_json=as_json, typed=typed, **back)


def run_release(
    found: Project, app: str, target: str, *, as_json: bool, **asked: Any
) -> int:
    """Make a release, show it as it happens, and return its exit code.

    `asked` is what else a `Release` takes, as it was typed and of the one taken up.
    """
    from olrunbook.targets import require_target  # noqa: PLC0415  (pydantic is slow)

    require_target(found.catalog, target)
    back = asked["images"] == LAST_GOOD
    if not back and any((found.root / "rules").glob("*.py")):
        from olrunbook.steps.deploy.findings import rules_of  # noqa: PLC0415

        rules_of(found.root)  # a wrong file is told now, not when the image is built
    grace_s(0.0)  # a wrong one is told before anything is started
    console = Console(stderr=as_json, highlight=False, markup=False)
    to = asked["to"]
    what = f"{target} of {app} through {', '.join(_through(found, app, to))}"
    if back:
        what = f"rollback of {app} in {to}, {target}"
    console.print(f"olrunbook · {what}")
    settle()
    while True:
        made, record = _release(found, app, target, console, **asked)
        if as_json:
            click.echo(record.model_dump_json(by_alias=True, indent=1))
            return record.exit_code
        waits = gates.waiting_run(made.place, record)
        _summary(console, made, record, waits)
        if waits is None or not gates.answered(found, *waits):
            return record.exit_code
        from olrunbook.steps.order import Found  # noqa: PLC0415
        from olrunbook.steps.resumption import parts_of  # noqa: PLC0415

        parts = parts_of(found.outputs, Found(made.place, record))
        asked["images"] = "" if parts.images else asked["images"]
        asked |= {"resumes": record.run_id, "parts": parts, "warnings": []}


def _through(found: Project, app: str, to: str) -> list[str]:
    """Return the stages up to one; empty: all."""
    stages = found.catalog.stages_of(app)
    return stages[: stages.index(to) + 1] if to else stages


def _release(
    found: Project, app: str, target: str, console: Console, **asked: Any
) -> tuple[Release, RunRecord]:
    """Make a release and run it to its end, or until it waits."""
    from olrunbook.steps.lock import one_at_a_time  # noqa: PLC0415

    spec = found.catalog.app(app)
    with one_at_a_time(found.root, app, "olrunbook release"):
        start = asked["images"] != LAST_GOOD  # nothing goes back where nothing is
        first = _through(found, app, asked["to"])[0]
        place = ensure_cloud(found, target, start=start, stage=first)
        # An image set that is named needs no image tools.
        tools = [*needed("" if not asked["images"] else "any"), *needed("any")]
        found.require_variables(spec, tools, place.env)
        # Heavy imports while a person already reads the first line.
        from olrunbook.adapters.aws.reads import Account  # noqa: PLC0415
        from olrunbook.engine.stopping import unbroken  # noqa: PLC0415
        from olrunbook.pipeline import Release  # noqa: PLC0415
        from olrunbook.targets import load_target  # noqa: PLC0415

        @functools.cache
        def account(stage: str) -> Account:
            return Account(load_target(target, found, stage))

        def find_url(stage: str) -> str:
            return account(stage).url(account(stage).groups(spec, stage))

        with unbroken():
            made = Release(
                found,
                app,
                place,
                notebook=lambda name: notebook_path(found, name),
                report=Rows(app, console),
                find_url=find_url,
                **asked,
            )
            return made, made.run()


def _summary(console: Console, made: Release, record: RunRecord, waits: Any) -> None:
    console.soft_wrap = not console.is_terminal
    console.print()
    if record.status == "succeeded":
        line = record.headline or "released"
        own = made.project.catalog.app(made.app).stand_ins
        what = f"Vault, Consul and {made.app}" if own else "Vault and Consul"
        note = f"({made.target.name}; {what} are stand-ins)"
        note = note if made.target.kind == "rehearsal" else f"({made.target.name})"
        console.print(f"{line[0].upper()}{line[1:]}.   {note}", style="bold")
    elif record.status == "waiting" and waits:
        for text in gates.waiting_lines(waits[1], record.run_id):
            console.print(text, soft_wrap=True)
    else:
        console.print(f"{record.status.capitalize()}: {record.cause}", style="bold red")
        for left in record.finishing:
            console.print(f"  still finishing: {left}")
    ways = [
        f"Records: {made.place.folder}",
        f"read them: {command()} runs {made.app}",
        f"stop the rehearsal: {command()} rehearsal down",
    ]
    ways = ways if made.target.kind == "rehearsal" else ways[:2]
    console.print("   ·   ".join(ways), soft_wrap=True)
