"""The command line. Each command is imported when it is called, not before."""

from __future__ import annotations

import sys


def _unhandled(kind: type[BaseException], *error: Any) -> None:
    """Say in a line that a Ctrl-C came before `main` could take care of it."""
    if kind is KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
    else:
        sys.__excepthook__(kind, *error)


sys.excepthook = _unhandled  # first: what is imported below takes a while

import gc
import os
from importlib import import_module
from typing import Any

import click
from click.core import ParameterSource

from olrunbook import __version__
from olrunbook.cli.streams import lasting
from olrunbook.errors import OlrunbookError, RefusedError
from olrunbook.project.where import working_folder

__all__ = ["main"]

# Name: (module, one line of help). The module has a click command of that name.
COMMANDS = {
    "release": ("release", "Test, build and roll out an app, stage by stage."),
    "rollback": ("release", "Go back to what served well in a stage before."),
    "revoke": ("revoke", "Revoke an image set: no stage gets it any more."),
    "run": ("run", "Execute one notebook with typed parameters."),
    "approve": ("approve", "Approve what a run that waits at a gate has shown."),
    "reject": ("approve", "Reject what a run that waits at a gate has shown."),
    "countersign": ("approve", "Sign, as the second, what an emergency has changed."),
    "resume": ("resume", "Resume a run or a release that did not succeed."),
    "status": ("status", "Show what serves where, and what no record explains."),
    "doctor": ("status", "Check everything, first what a cut-off update has left."),
    "init": ("init", "Write a catalog of a repository, or start a project."),
    "iam": ("iam", "Print IAM policies for build, deploy and review: a start."),
    "lint": ("lint", "Say what is missing in apps and notebooks."),
    "runs": ("runs", "List the runs in the archive."),
    "show": ("show", "Show one run on one screen."),
    "open": ("open", "Open a run's HTML record in the browser."),
    "compare": ("compare", "Show what differs between two runs."),
    "verify": ("verify", "Check that nothing in the archive was changed."),
    "prune": ("prune", "Remove old runs; the chain still names them."),
    "rehearsal": ("rehearsal", "Start, show and stop the cloud on this machine."),
    "tools": ("tools", "Find or get packer, pulumi and the amazon plugin."),
    "catalog": ("catalog", "Show the apps, stages and targets."),
    "lab": ("lab", "Open the notebooks in JupyterLab."),
    "completion": ("completion", "Print the shell code for tab completion."),
}

EPILOG = """\b
Examples:
  olrunbook release tika              rehearse a release through all stages
  olrunbook run image_test --app tika
  olrunbook runs tika --stage CI
  olrunbook show 0193…d02

\b
Exit codes: 0 succeeded, 1 failed, 2 usage, 3 waiting for approval, 4 refused,
5 kernel died, 124 timed out, 129 SIGHUP, 130 SIGINT, 143 SIGTERM."""


def _not_empty(ctx: click.Context, option: click.Parameter, value: str) -> str:
    """Refuse `--to "$STAGE"` where STAGE is empty: that is not left out."""
    typed = ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    if typed and value == "":
        msg = "it is empty; leave it out, or give a value."
        raise click.BadParameter(msg, ctx, option)
    return value


class Commands(click.Group):
    """A group whose commands live in modules that are imported when needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names, in the order a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"olrunbook.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        for option in command.params:
            if option.default == "":
                option.callback = option.callback or _not_empty
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the commands' help lines without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=Commands, epilog=EPILOG, context_settings={"max_content_width": 96})
@click.option(
    "--project",
    type=click.Path(file_okay=False),
    callback=_not_empty,
    help="Folder with catalog.toml; default: the nearest one upwards.",
)
@click.version_option(__version__, prog_name="olrunbook")
def cli(project: str | None) -> None:
    """Operations runbooks as notebooks, from image sources to production."""
    if project is not None:
        os.environ["OLRUNBOOK_PROJECT"] = str(working_folder() / project)


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    streams = lasting()
    code = _run(args)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for fault in [stream.fault for stream in streams if stream.fault]:
        _complain(f"Error: what was to be printed could not be written: {fault}", "")
        code = code or 1
    gc.freeze()  # what is gone in a moment need not be looked through for garbage
    sys.exit(code)


def _run(args: list[str] | None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = cli.main(args, prog_name="olrunbook", standalone_mode=False)
    except OlrunbookError as error:
        word = "Refused" if isinstance(error, RefusedError) else "Error"
        _complain(f"{word}: {error}", error.hint)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("Interrupted.", "")
        return 130
    except OSError as error:
        _complain(f"Error: {error}", "")
        return 1
    return code if isinstance(code, int) else 0


def _complain(text: str, hint: str) -> None:
    from olrunbook.cli.common import plain  # noqa: PLC0415  (heavy)

    click.secho("\n".join(map(plain, text.splitlines())), fg="red", err=True)
    if hint:
        click.echo(f"  What you can do: {plain(hint)}", err=True)
