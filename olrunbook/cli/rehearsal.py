"""`olrunbook rehearsal up|down|status|reset`."""

from __future__ import annotations

import time

import click

from olrunbook.cli.common import EchoEvents, command, duration, ensure_cloud, project


@click.group()
def rehearsal() -> None:
    """Start, look at and remove the cloud on loopback.

    It is one background process that outlives this command; instances are containers,
    AMIs are container images. Nothing of it listens on anything but loopback.
    """


@rehearsal.command()
@click.option(
    "--no-containers",
    is_flag=True,
    help="Instances and images are records only: for trying calls, not for a release.",
)
@click.option(
    "--aws-order",
    is_flag=True,
    help="As on AWS an instance is InService before its health check counts.",
)
def up(*, no_containers: bool, aws_order: bool) -> None:
    """Start it, or find the one that is up."""
    began = time.monotonic()
    target = ensure_cloud(
        project(),
        "rehearsal",
        EchoEvents(),
        containers=not no_containers,
        aws_order=aws_order,
    )[0]
    click.echo(
        f"The rehearsal is up: {target.endpoint} (cloud {target.cloud_id}), "
        f"{duration(time.monotonic() - began)}."
    )
    click.echo(f"Stop it: {command()} rehearsal down")


@rehearsal.command()
@click.option("--images", is_flag=True, help="Remove the AMIs of this checkout too.")
def down(*, images: bool) -> None:
    """Stop it and remove every process, container, address and file of it."""
    from olrunbook.rehearsal import lifecycle  # noqa: PLC0415

    click.echo(lifecycle.down(project().root, images=images, emit=EchoEvents()))


@rehearsal.command()
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
def status(*, as_json: bool) -> int:
    """Say whether it is up and what runs in it. Exit code 0 up, 1 down."""
    from olrunbook.rehearsal import lifecycle  # noqa: PLC0415

    found = lifecycle.status(project().root)
    click.echo(found.model_dump_json(indent=1) if as_json else str(found))
    return 0 if found.up else 1


@rehearsal.command()
def reset() -> None:
    """Remove it with its AMIs and start afresh."""
    from olrunbook.rehearsal import lifecycle  # noqa: PLC0415

    found = project()
    lifecycle.down(found.root, images=True, emit=EchoEvents())
    ensure_cloud(found, "rehearsal", EchoEvents())
    click.echo("The rehearsal was reset and is up.")
