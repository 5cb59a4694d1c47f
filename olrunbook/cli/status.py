"""What serves where, and what is not as it should be: `olrunbook status`, `doctor`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from olrunbook.cli.common import project
from olrunbook.cli.complete import complete_app, complete_stage
from olrunbook.cli.state import settle
from olrunbook.cli.times import Moment
from olrunbook.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from olrunbook.steps.results import Result


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
@click.option("--target", default="", help="The target; default: the rehearsal.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(
    *, app: str, stage: str, at: datetime | None, target: str, as_json: bool
) -> None:
    """Show what serves where, since when and by which run; and what is open.

    Listed is, too, what no record explains: another's update or refresh.
    """
    from olrunbook.steps.board import board  # noqa: PLC0415  (heavy)

    if at and at > datetime.now(UTC):
        msg = f"--at {at:%Y-%m-%d %H:%M} is in the future"
        raise UsageError(msg)
    settle()
    found = board(project(), app=app, stage=stage, target=target, at=at)
    _print(found, as_json=as_json)


@click.command(
    epilog="""\b
Examples:
  olrunbook doctor
  olrunbook doctor tika CI
  olrunbook doctor tika --permissions
  olrunbook doctor tika --json | jq '.rows[] | select(.status == "failed")'

\b
Exit code 0: nothing failed (warnings too), 4: something did."""
)
@click.argument("app", default="", shell_complete=complete_app)
@click.argument("stage", default="", shell_complete=complete_stage)
@click.option("--target", default="", help="The target; default: the rehearsal.")
@click.option(
    "--permissions",
    is_flag=True,
    help="Only ask IAM whether the identity in use may do what the notebooks do.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(
    *, app: str, stage: str, target: str, permissions: bool, as_json: bool
) -> int:
    """Check machine, apps and stages; each with what was found, wanted, and to type.

    First comes what an update that was cut off may have left: locks, operations that
    were never finished, resources that no state knows.
    """
    from olrunbook.steps import doctor as steps  # noqa: PLC0415  (heavy)

    settle()
    look = steps.permitted if permissions else steps.doctor
    found = look(project(), app, stage, target)
    _print(found, as_json=as_json)
    return RefusedError.exit_code if found.failed else 0


def _print(found: Result, *, as_json: bool) -> None:
    from olrunbook.display import Shown  # noqa: PLC0415  (heavy)

    click.echo(found.model_dump_json(indent=1) if as_json else repr(Shown(found)))
