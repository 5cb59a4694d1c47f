"""`olrunbook doctor`: everything that can be checked before anything is done."""

from __future__ import annotations

import click

from olrunbook.cli.common import project
from olrunbook.cli.complete import complete_app, complete_stage
from olrunbook.cli.state import settle
from olrunbook.errors import RefusedError


@click.command(
    epilog="""\b
Examples:
  olrunbook doctor
  olrunbook doctor tika CI
  olrunbook doctor tika --json | jq '.rows[] | select(.status == "failed")'

\b
Exit code 0: nothing failed (warnings too), 4: something did."""
)
@click.argument("app", default="", shell_complete=complete_app)
@click.argument("stage", default="", shell_complete=complete_stage)
@click.option("--target", default="", help="The target; default: the catalog's first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, app: str, stage: str, target: str, as_json: bool) -> int:
    """Check machine, apps and stages; each with what was found, wanted, and to type.

    First comes what an update that was cut off may have left: locks, operations that
    were never finished, resources that no state knows.
    """
    from olrunbook.display import Shown  # noqa: PLC0415  (heavy)
    from olrunbook.steps import doctor as steps  # noqa: PLC0415

    settle()
    found = steps.doctor(project(), app, stage, target)
    click.echo(found.model_dump_json(indent=1) if as_json else repr(Shown(found)))
    return RefusedError.exit_code if found.failed else 0
