"""Everything a person looks at in a notebook. Steps know nothing of it."""

from __future__ import annotations

from olrunbook.display import (  # noqa: F401  (each registers what it shows)
    views_checks,
    views_deploy,
    views_images,
    views_rollout,
)
from olrunbook.display.front import note, show
from olrunbook.display.header import header
from olrunbook.display.shown import Shown, view_of
from olrunbook.steps.results import Result

__all__ = ["Shown", "header", "note", "show", "shown", "view_of"]


def shown(result: Result) -> Shown:
    """Return a result that shows itself as tables and otherwise is the result."""
    return Shown(result)
