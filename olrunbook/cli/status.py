"""`olrunbook status`: what serves where."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from olrunbook.cli.common import project
from olrunbook.cli.complete import complete_app, complete_stage
from olrunbook.cli.state import settle
from olrunbook.cli.times import Moment
from olrunbook.errors import UsageError


@click.command(
    epilog="""\b
Examples:
  olrunbook status
  olrunbook status tika Production
  olrunbook status --at "2026-11-24 15:00"
  olrunbook status --json | jq '.rows[] | {app, stage, images, unexplained}'"""
)
@click.argument("app", default="", shell_complete=complete_app)
@click.argument("stage", default="", shell_complete=complete_stage)
@click.option("--at", type=Moment(), help="Then, from the archive alone: 2h, 15:00, …")
@click.option("--target", default="", help="The target; default: the catalog's first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(
    *, app: str, stage: str, at: datetime | None, target: str, as_json: bool
) -> None:
    """Show what serves where, since when and by which run; and what is open.

    Listed is, too, what no record explains: another's update or refresh.
    """
    from olrunbook.display import Shown  # noqa: PLC0415  (heavy)
    from olrunbook.steps.board import board  # noqa: PLC0415

    if at and at > datetime.now(UTC):
        msg = f"--at {at:%Y-%m-%d %H:%M} is in the future"
        raise UsageError(msg)
    settle()
    found = board(project(), app=app, stage=stage, target=target, at=at)
    click.echo(found.model_dump_json(indent=1) if as_json else repr(Shown(found)))
