"""`olrunbook run NOTEBOOK`: a subcommand a notebook, from its parameters cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from olrunbook.cli import gates
from olrunbook.cli.common import (
    duration,
    ensure_cloud,
    hints,
    notebook_names,
    notebook_path,
    project,
)
from olrunbook.cli.parameters import VALUE, NotebookCommand, options_of
from olrunbook.cli.state import settle
from olrunbook.errors import RefusedError, UsageError
from olrunbook.processes.grace import grace_s
from olrunbook.project.catalog import Project
from olrunbook.project.params import (
    NONE,
    Parameter,
    check,
    declared,
    defaults,
    from_text,
    read_notebook,
)
from olrunbook.project.tools import needed
from olrunbook.record.journal import Typed
from olrunbook.targets import find_target, require_target

if TYPE_CHECKING:
    from olrunbook.archive.place import RunPlace
    from olrunbook.record.model import RunRecord


class Notebooks(click.Group):
    """The notebooks of the project as commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return their names."""
        return notebook_names(project())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:  # noqa: ARG002
        """Make the command of one notebook; UsageError says what there is instead."""
        found = project()
        path = _path(found, cmd_name)
        notebook = read_notebook(path)
        return command_of(path, _title(notebook), declared(notebook, found.catalog))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Offer the notebooks by name; a path is completed as a file."""
        if os.sep in incomplete:
            return [CompletionItem(incomplete, type="file")]
        return super().shell_complete(ctx, incomplete)


@click.command(
    cls=Notebooks,
    epilog="""\b
Examples:
  olrunbook run deploy --help                 the parameters of a notebook
  olrunbook run image_test --app tika
  olrunbook run deploy -p app tika -p stage CI
  olrunbook run ../other/check.ipynb          any notebook with a parameters cell""",
)
def run() -> None:
    """Execute one notebook by papermill and keep its record.

    Parameters are checked before anything starts: by name, type and choice.
    """


def _title(notebook: dict[str, Any]) -> str:
    """Return the first lines of a notebook's text: its title and what it does."""
    cells = (cell for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    text = "".join(next(cells, {"source": ""})["source"])
    parts = text.lstrip("# ").replace("**What.** ", "").split("\n\n")[:2]
    return "\n\n".join(part.replace("\n", " ") for part in parts)


def _path(found: Project, name: str) -> Path:
    """Return the notebook a word names: a file, else one of the project or kit."""
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name).absolute()
    return notebook_path(found, name.removesuffix(".ipynb").removeprefix("notebooks/"))


def command_of(
    path: Path, text: str, parameters: dict[str, Parameter]
) -> click.Command:
    """Return the command of one notebook; `text` says what it does."""

    def call(
        given: tuple[tuple[str, str], ...], *, as_json: bool, **options: Any
    ) -> int:
        named = [key for key in options if key.startswith(VALUE)]
        found = {key.removeprefix(VALUE): options.pop(key) for key in named}
        values = {key: value for key, value in found.items() if value is not None}
        for key, value in given:
            if key in values and values[key] != value:
                both = f"{values[key]!r} and {value!r}"
                msg = f"parameter {key!r} is given twice, as {both}"
                raise UsageError(msg)
            values[key] = value
        for key, value in values.items():
            if key not in parameters or not parameters[key].kind:
                values[key] = from_text(value)
        checked = check(values, parameters, path.stem)
        if options.get("gates") and not _asks(path):
            msg = f"--gate: {path.stem} asks at no gate"
            raise UsageError(msg, "Leave it out; run.gate(plan) in a cell asks.")
        typed = _typed(defaults(parameters) | checked, parameters, **options)
        return execute(path, checked, parameters, as_json=as_json, typed=typed)

    return NotebookCommand(
        path.stem,
        # A name is also understood as it stands in the notebook: --node_type.
        context_settings={"token_normalize_func": lambda t: t.replace("_", "-")},
        params=options_of(parameters),
        callback=call,
        help=text,
        short_help=text.split("\n", maxsplit=1)[0],
    )


def _asks(path: Path) -> bool:
    """Whether a notebook may ask at a gate: some line of its code names one."""
    cells = read_notebook(path)["cells"]
    code = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return any("gate" in source for source in code)


def _typed(
    values: dict[str, Any], parameters: dict[str, Parameter], **given: Any
) -> Typed:
    """Return what was typed about gates and rules, after a look at it."""
    found = project()
    kinds = {p.kind.replace("Name", ""): values[p.name] for p in parameters.values()}
    if "Stage" not in kinds or "App" not in kinds:
        return Typed()
    target = kinds.get("Target", "rehearsal")
    return gates.chosen(found, kinds["App"], target, [kinds["Stage"]], **given)


def execute(
    path: Path,
    values: dict[str, Any],
    parameters: dict[str, Parameter],
    *,
    as_json: bool,
    **resumed: Any,
) -> int:
    """Run a notebook, print how it ended and return its exit code.

    `resumed` is what a session takes of a run that is taken up again.
    """
    grace_s(0.0)  # a wrong one is told before anything is started
    found, merged = project(), defaults(parameters) | values
    for parameter in parameters.values():
        if parameter.kind in ("Target", "TargetName"):
            require_target(found.catalog, merged[parameter.name])
    settle()
    # What has a stage works on what is there; an empty rehearsal has none of it.
    stages = [merged[p.name] for p in parameters.values() if p.kind == "Stage"]
    for target in targets_of(parameters, merged):
        ensure_cloud(found, target, start=not stages, stage="".join(stages[:1]))
    kinds = {p.kind.replace("Name", ""): merged[p.name] for p in parameters.values()}
    if app := kinds.get("App"):
        target = kinds.get("Target", "")
        where = find_target(target, found) if target else None
        own, tools = found.catalog.app(app), needed(kinds.get("Stage", ""))
        found.require_variables(own, tools, where.env if where else ())
    return _run(found, path, values, as_json=as_json, **resumed)


def targets_of(parameters: dict[str, Parameter], values: dict[str, Any]) -> list[str]:
    """Return the targets that must be up: the values of parameters of type Target."""
    return [values[p.name] for p in parameters.values() if p.kind == "Target"]


def _run(
    found: Project, path: Path, values: dict[str, Any], *, as_json: bool, **resumed: Any
) -> int:
    from olrunbook.engine.session import Session, run_notebook  # noqa: PLC0415
    from olrunbook.engine.stopping import unbroken  # noqa: PLC0415

    last = [""]

    def progress(text: str) -> None:
        if text and text != last[0]:
            last[0] = text
            click.echo(f"  {text}", err=True)

    while True:
        with unbroken():
            session = Session(found, path, values, on_progress=progress, **resumed)
            record = run_notebook(session)
        asks = record.status == "waiting" and not as_json
        waits = gates.waiting_run(session.place, record) if asks else None
        _print(record, session.place, waits=waits is not None, as_json=as_json)
        if waits is None or not gates.answered(found, *waits):
            return record.exit_code
        from olrunbook.steps.resumption import differences  # noqa: PLC0415  (heavy)

        if changed := differences(record, path):
            msg = f"it cannot go on: {'; '.join(changed)}"
            raise RefusedError(msg, "Run it again.")
        resumed["resumes"] = session.place


def _print(record: RunRecord, place: RunPlace, *, waits: bool, as_json: bool) -> None:
    """Print how a run ended, or its record."""
    seconds = (record.ended_at - record.started_at).total_seconds()
    if as_json:
        click.echo(record.model_dump_json(by_alias=True, indent=1))
    else:
        names = [record.notebook, record.app, record.stage]
        line = " ".join(name for name in names if name not in ("", NONE))
        mark = {"succeeded": "✓", "waiting": "⋯"}.get(record.status, "✗")
        news = record.headline if record.status == "succeeded" else record.cause
        news = "" if record.status == "waiting" else news
        took = f"{record.status} after {duration(seconds)}"
        click.echo(f"{mark} {line} {took}{f': {news}' if news else ''}")
        for line in gates.waiting_lines(record) if waits else hints(record):
            click.echo(line)
        click.echo(f"  record {place.folder}")
        for left in record.finishing:
            click.echo(f"  still finishing: {left}", err=True)
