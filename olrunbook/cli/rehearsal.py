"""`olrunbook rehearsal up|down|status|reset`."""

from __future__ import annotations

import time

import click

from olrunbook.cli.common import EchoEvents, command, duration, ensure_cloud, project


@click.group()
def rehearsal() -> None:
    """Start, show and stop the cloud on this machine.

    A background process that stays up after this command. Instances are containers,
    AMIs are container images. It listens on loopback only.
    """


@rehearsal.command()
@click.option(
    "--no-containers",
    is_flag=True,
    help="Start no containers: enough to try API calls, not for a release.",
)
@click.option(
    "--aws-order",
    is_flag=True,
    help="Make an instance InService before its health check counts, as AWS does.",
)
def up(*, no_containers: bool, aws_order: bool) -> None:
    """Start it, unless it is up."""
    began = time.monotonic()
    target = ensure_cloud(
        project(), "rehearsal", containers=not no_containers, aws_order=aws_order
    )
    click.echo(
        f"The rehearsal is up: {target.endpoint} (cloud {target.cloud_id}), "
        f"{duration(time.monotonic() - began)}."
    )
    click.echo(f"Stop it: {command()} rehearsal down")


@rehearsal.command()
@click.option("--images", is_flag=True, help="Remove the AMIs of this checkout too.")
def down(*, images: bool) -> None:
    """Stop it and remove its processes, containers, addresses and files."""
    from olrunbook.rehearsal import lifecycle  # noqa: PLC0415

    click.echo(lifecycle.down(project().root, images=images, emit=EchoEvents()))


@rehearsal.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> int:
    """Show whether it is up and what runs in it. Exit code 0: up, 1: down."""
    from olrunbook.rehearsal import lifecycle  # noqa: PLC0415

    found = lifecycle.status(project().root)
    click.echo(found.model_dump_json(indent=1) if as_json else str(found))
    return 0 if found.up else 1


@rehearsal.command()
def reset() -> None:
    """Remove it with its AMIs and start it again."""
    from olrunbook.rehearsal import lifecycle  # noqa: PLC0415

    found = project()
    lifecycle.down(found.root, images=True, emit=EchoEvents())
    ensure_cloud(found, "rehearsal")
    click.echo("The rehearsal was reset and is up.")
