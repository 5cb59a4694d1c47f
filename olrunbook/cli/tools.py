"""`olrunbook tools`: packer, pulumi and the amazon plugin."""

from __future__ import annotations

import click

from olrunbook.cli.common import EchoEvents


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def tools(*, as_json: bool) -> None:
    """Find packer, pulumi and the amazon plugin on PATH, or build pinned versions.

    What is built is kept outside the tree and verified by its sha256 before use.
    """
    from olrunbook import toolchain  # noqa: PLC0415

    found = toolchain.ensure(emit=EchoEvents())
    click.echo(found.model_dump_json(indent=1) if as_json else str(found))
