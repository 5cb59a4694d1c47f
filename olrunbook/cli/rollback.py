"""`olrunbook rollback APP STAGE`: the stage goes back to what served well before."""

from __future__ import annotations

from typing import Any

import click

from olrunbook.cli.common import project
from olrunbook.cli.complete import complete_app
from olrunbook.cli.gates import chosen, refuse_protected
from olrunbook.cli.release import gated, run_release
from olrunbook.project.imageset import LAST_GOOD


@click.command(
    epilog="""\b
Examples:
  olrunbook rollback tika Production
  olrunbook rollback concourse CI --by-hand-done --reason "migrated down to 1700"
  olrunbook rollback tika CI --override revoked --reason "better than nothing\""""
)
@click.argument("app", shell_complete=complete_app)
@click.argument("stage")
@click.option(
    "--by-hand-done",
    is_flag=True,
    help="What the catalog says must be done first is done; needs --reason.",
)
@click.option(
    "--target", default="rehearsal", show_default=True, help="Where it goes back."
)
@click.option("--json", "as_json", is_flag=True, help="Print the rollback's run.json.")
@gated
def rollback(
    app: str,
    stage: str,
    *,
    by_hand_done: bool,
    target: str,
    as_json: bool,
    **asked: Any,
) -> int:
    """Go back: deploy and roll out what served well in STAGE of APP before.

    That is the newest image set with a succeeded rollout there which is not the stage's
    now, exists, and is not revoked. Nothing but the stage's own gate is asked. It may
    start while a refresh that will come to nothing is at work, and cancels that.
    """
    found = project()
    found.catalog.stage(stage, app)
    asked["rules"] += ("by-hand",) if by_hand_done else ()
    typed = chosen(found, app, stages=[stage], **asked)
    refuse_protected(found, target, [stage], typed.approve_all)
    back = {"to": stage, "images": LAST_GOOD}
    return run_release(found, app, target, as_json=as_json, typed=typed, **back)
