"""What a notebook gets from `begin`: a run whose methods are the steps."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from olrunbook.project.catalog import find_project
from olrunbook.run.start import begin
from olrunbook.run.steps import Run

if TYPE_CHECKING:
    from olrunbook.display import Shown

__all__ = ["Run", "begin", "status"]


def status(
    app: str = "", stage: str = "", *, at: datetime | None = None, target: str = ""
) -> Shown:
    """Return what serves where: app by stage, as a table that shows itself.

    Args:
        app: Only this app; empty: all.
        stage: Only this stage.
        at: A moment (aware), told from the archive alone; None: now.
        target: The target; empty: the rehearsal.

    Raises:
        UsageError: There is no such app, stage or target.

    """
    from olrunbook.display import Shown  # noqa: PLC0415  (heavy)
    from olrunbook.steps.board import board  # noqa: PLC0415

    return Shown(board(find_project(), app=app, stage=stage, target=target, at=at))
