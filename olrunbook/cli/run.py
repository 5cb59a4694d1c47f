"""`olrunbook run NOTEBOOK`: a subcommand a notebook, from its parameters cell."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from olrunbook.cli.common import (
    EchoEvents,
    duration,
    ensure_cloud,
    notebook_names,
    notebook_path,
    project,
)
from olrunbook.cli.parameters import VALUE, NotebookCommand, options_of
from olrunbook.cli.state import settle
from olrunbook.errors import UsageError
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
from olrunbook.targets import require_built


class Notebooks(click.Group):
    """The notebooks of the project as commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return their names."""
        return notebook_names(project())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Make the command of one notebook from its declarations."""
        found = project()
        try:
            path = _path(found, cmd_name)
        except UsageError:
            return None
        notebook = read_notebook(path)
        return command_of(path, _title(notebook), declared(notebook, found.catalog))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Offer the notebooks by name; a path is completed as a file."""
        if os.sep in incomplete:
            return [CompletionItem(incomplete, type="file")]
        return super().shell_complete(ctx, incomplete)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find a notebook; an unknown one is named with what there is."""
        if args and self.get_command(ctx, args[0]) is None:
            _path(project(), args[0])  # raises the message
        return super().resolve_command(ctx, args)


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
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"]).lstrip("# ").replace("**What.** ", "")
            return "\n\n".join(
                part.replace("\n", " ") for part in text.split("\n\n")[:2]
            )
    return ""


def _path(found: Project, name: str) -> Path:
    """Return the notebook a word names: a file, else one of the project or kit."""
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name).absolute()
    return notebook_path(found, name.removesuffix(".ipynb").removeprefix("notebooks/"))


def command_of(
    path: Path, text: str, parameters: dict[str, Parameter]
) -> click.Command:
    """Return the command of one notebook.

    Args:
        path: The notebook.
        text: What it does.
        parameters: Its declarations.

    """

    def call(
        given: tuple[tuple[str, str], ...], *, as_json: bool, **named: str | None
    ) -> int:
        values: dict[str, Any] = {
            key.removeprefix(VALUE): v for key, v in named.items() if v is not None
        }
        for key, value in given:
            if key in values and values[key] != value:
                both = f"{values[key]!r} and {value!r}"
                msg = f"parameter {key!r} is given twice, as {both}"
                raise UsageError(msg)
            values[key] = value
        for key, value in values.items():
            if key not in parameters or not parameters[key].kind:
                values[key] = from_text(value)
        return execute(
            path, check(values, parameters, path.stem), parameters, as_json=as_json
        )

    return NotebookCommand(
        path.stem,
        # A name is also understood as it stands in the notebook: --node_type.
        context_settings={"token_normalize_func": lambda t: t.replace("_", "-")},
        params=options_of(parameters),
        callback=call,
        help=text,
        short_help=text.split("\n", maxsplit=1)[0],
    )


def execute(
    path: Path,
    values: dict[str, Any],
    parameters: dict[str, Parameter],
    *,
    as_json: bool,
    **resumed: Any,
) -> int:
    """Run a notebook and print how it ended.

    Args:
        path: The notebook.
        values: Parameters, checked.
        parameters: Their declarations.
        as_json: Print run.json.
        resumed: What a session takes of a run that is taken up again.

    Returns:
        The exit code.

    """
    found, merged = project(), defaults(parameters) | values
    for parameter in parameters.values():
        if parameter.kind in ("Target", "TargetName"):
            require_built(found.catalog, merged[parameter.name])
    settle()
    for target in targets_of(parameters, merged):
        ensure_cloud(found, target, EchoEvents())
    return _run(found, path, values, as_json=as_json, **resumed)


def targets_of(parameters: dict[str, Parameter], values: dict[str, Any]) -> list[str]:
    """Return the targets that must be up: the values of parameters of type Target."""
    return [values[p.name] for p in parameters.values() if p.kind == "Target"]


def _run(
    found: Any, path: Any, values: dict[str, Any], *, as_json: bool, **resumed: Any
) -> int:
    from olrunbook.engine.session import Session, run_notebook  # noqa: PLC0415

    last = [""]

    def progress(text: str) -> None:
        if text and text != last[0]:
            last[0] = text
            click.echo(f"  {text}", err=True)

    session = Session(found, path, values, on_progress=progress, **resumed)
    record = run_notebook(session)
    seconds = (record.ended_at - record.started_at).total_seconds()
    if as_json:
        click.echo(record.model_dump_json(by_alias=True, indent=1))
    else:
        names = [record.notebook, record.app, record.stage]
        line = " ".join(name for name in names if name not in ("", NONE))
        mark = "✓" if record.status == "succeeded" else "✗"
        news = record.headline if record.status == "succeeded" else record.cause
        took = f"{record.status} after {duration(seconds)}"
        click.echo(f"{mark} {line} {took}{f': {news}' if news else ''}")
        for step in record.steps:
            if step.hint:
                click.echo(f"  What you can do: {step.hint}")
        click.echo(f"  record {session.place.folder}")
        for left in record.finishing:
            click.echo(f"  still finishing: {left}", err=True)
    sys.stdout.flush()
    return record.exit_code
