"""`olrunbook tools`: packer, pulumi and the amazon plugin, and how to call them."""

from __future__ import annotations

import os
import shutil

import click

from olrunbook.cli.common import EchoEvents, project
from olrunbook.errors import UsageError


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
def tools(command: tuple[str, ...], *, as_json: bool, target: str) -> None:
    """Find packer, pulumi and the amazon plugin on PATH, or build pinned versions.

    What is built is kept outside the tree and verified by its sha256 before use. With
    COMMAND: call one of them, with endpoints, state and credentials of the target.
    """
    if command:
        from olrunbook.targets import load_target  # noqa: PLC0415

        environment = load_target(target, project().root).environment()
        path = shutil.which(command[0], path=environment["PATH"])
        if command[0] not in ("packer", "pulumi") or not path:
            msg = f"{command[0]} is no tool of ours; there are packer and pulumi"
            raise UsageError(msg)
        os.execve(path, command, environment)
    from olrunbook import toolchain  # noqa: PLC0415

    found = toolchain.ensure(emit=EchoEvents())
    click.echo(found.model_dump_json(indent=1) if as_json else str(found))
