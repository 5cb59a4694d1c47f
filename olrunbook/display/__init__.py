"""Everything a person looks at in a notebook. Steps know nothing of it."""

from __future__ import annotations

from olrunbook.display import (  # noqa: F401  (each registers what it shows)
    views_checks,
    views_deploy,
    views_images,
    views_rollout,
)
from olrunbook.display.front import Seen, note, show
from olrunbook.display.header import header_view
from olrunbook.display.shown import Shown, view_of

__all__ = ["Seen", "Shown", "header_view", "note", "show", "view_of"]
