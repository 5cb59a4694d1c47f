"""What a step is: one description, and everybody who needs a fact reads it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from olrunbook.steps.results import Result


class Step(NamedTuple):
    """One step of a runbook."""

    name: str  # its name in record and journal
    result: type[Result] = Result  # what its result is
    # raises where the result is a failure; its table is shown first
    require: Callable[[Any], None] | None = None
    # it changes or builds something: silence is no reason to stop it
    changes: bool = False
    locks: bool = False  # only one at a time for an app: two at once would mix
    # Done once is enough: a run that is taken up again keeps its result. What only
    # reads runs again, since it may have changed.
    kept: bool = False
