"""`olrunbook tools`: packer, pulumi and the amazon plugin, and how to call them."""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from olrunbook.cli.common import EchoEvents, project
from olrunbook.errors import UsageError
from olrunbook.processes.handout import handing_out

if TYPE_CHECKING:
    from olrunbook.adapters.toolcall import ToolCall
    from olrunbook.project.catalog import Project


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="""\b
Examples:
  olrunbook tools                                  where each tool comes from
  olrunbook tools pulumi stack ls -C stacks/tika   call one as a run does""",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--target", default="rehearsal", show_default=True, help="With its credentials."
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def tools(command: tuple[str, ...], *, as_json: bool, target: str) -> int:
    """Find packer, pulumi and the amazon plugin on PATH, or get pinned versions.

    They are downloaded from their vendors, or built from source where a vendor does not
    answer, kept outside the tree, and verified by their sha256 before each use. With
    COMMAND: call one of them, with endpoints, state and credentials of the target.
    Pulumi works on a copy of an app's stack, as a run does: no checkout is written.
    """
    if command:
        found = project()
        if command[0] not in ("packer", "pulumi"):
            msg = f"{command[0]} is no tool of ours; there are packer and pulumi"
            raise UsageError(msg)
        with _on_a_copy(found, target, command) as (words, call):
            if not shutil.which(command[0], path=call.env["PATH"]):
                msg = f"{command[0]} is not on PATH"
                raise UsageError(msg, "Find or build it: olrunbook tools")
            with handing_out(call.env) as own:
                return _wait((*call.prefix, *words), own)
    from olrunbook import toolchain  # noqa: PLC0415

    tools = toolchain.ensure(emit=EchoEvents())
    click.echo(tools.model_dump_json(indent=1) if as_json else str(tools))
    return 0


def _wait(words: tuple[str, ...], environment: dict[str, str]) -> int:
    """Run a program of the environment's PATH to its end, and return its exit code."""
    path = shutil.which(words[0], path=environment["PATH"])
    process = subprocess.Popen(words, executable=path, env=environment)
    signal.signal(signal.SIGINT, lambda *_: None)  # the terminal tells it by itself
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: process.send_signal(signal.SIGINT))
    return process.wait()


@contextmanager
def _on_a_copy(
    found: Project, target: str, command: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], ToolCall]]:
    """Have a command that names an app's stack and its folder on a copy of that.

    What belongs to the cloud (the key of its secrets, and those) is kept where a run
    has it. Any other command is left as it is. With it comes how its tool is called: on
    an account as the stack's stage.
    """
    from olrunbook.adapters.context import Commit, Context  # noqa: PLC0415
    from olrunbook.adapters.toolcall import tool_call  # noqa: PLC0415
    from olrunbook.redact import Redactor, new_key  # noqa: PLC0415
    from olrunbook.targets import load_target  # noqa: PLC0415

    redactor = Redactor(new_key(), [])
    scratch = tempfile.TemporaryDirectory(prefix="olrunbook-tools-")
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, exit_on_error=False
    )
    parser.add_argument("-C", "--cwd", type=Path, default=".")
    parser.add_argument("-s", "--stack")
    known, rest = argparse.Namespace(stack=None, cwd=Path()), [*command]
    with suppress(argparse.ArgumentError):  # the tool says it better
        known, rest = parser.parse_known_args(command)
    names = {
        app.stack.stack_name(stage): (name, app, stage)
        for name, app in found.catalog.apps.items()
        for stage in (found.catalog.stages_of(name) if app.stack else ())
        if app.stack and found.path(app.stack.path).resolve() == known.cwd.resolve()
    }
    of = names.get(known.stack)
    place = load_target(target, found, of[2] if of else "").identified()
    if of is None:
        spec = found.catalog.tools.of("packer" if command[0] == "packer" else "pulumi")
        with scratch as folder:
            env, home = place.environment(), Path(folder) / "home"
            yield command, tool_call(found, spec, env, home, redactor)
        return
    from olrunbook.adapters.pulumi import settings  # noqa: PLC0415
    from olrunbook.adapters.pulumi.state import BY_HAND  # noqa: PLC0415
    from olrunbook.cli.gates import masked  # noqa: PLC0415
    from olrunbook.record.provenance import operator, person  # noqa: PLC0415

    name, app, stage = of
    with scratch as folder:
        context = Context(
            project=found,
            place=place,
            app_name=name,
            app=app,
            stage=stage,
            run_id="",
            commit=Commit(""),
            logs=Path(folder),
            work=Path(folder),
            redactor=redactor,
        )
        prepared = settings.prepare(context, {})
        before = _plain(prepared.settings)
        try:
            if rest[1:2] == ["refresh"] and not {"-m", "--message"} & {*rest}:
                who = masked(found, person(operator(found.root)), place.name)
                rest += ["-m", f"{BY_HAND} by {who}"]  # for the stack's history
            words = (*rest, "-C", str(prepared.folder), "-s", prepared.stack)
            yield words, context.tool("pulumi")
        finally:
            settings.keep_settings(prepared)
            if _plain(prepared.settings) != before:
                name = prepared.settings.name
                text = f"Nothing was written to {name}: put such settings in by hand."
                click.echo(text, err=True)


def _plain(settings: Path) -> dict[str, Any]:
    """Return a stack's settings that are no secrets: those a checkout has."""
    from olrunbook.adapters.pulumi.settings import read_yaml  # noqa: PLC0415

    config = read_yaml(settings).get("config") or {}
    return {k: v for k, v in config.items() if not isinstance(v, dict)}
