"""`olrunbook completion SHELL`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the shell code that turns on tab completion.

    For bash: eval "$(olrunbook completion bash)" in ~/.bashrc.
    """
    made = get_completion_class(shell)
    assert made is not None
    root = ctx.find_root().command
    source = made(root, {}, "olrunbook", "_OLRUNBOOK_COMPLETE").source()
    click.echo(source)
