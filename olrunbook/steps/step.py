"""What a step is: one description, and everybody who needs a fact reads it there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from olrunbook.steps.results import Result

__all__ = ["Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a runbook.

    Args:
        name: Its name in record and journal.
        result: What its result is.
        require: Raises where the result is a failure; its table is shown first.
        changes: It changes or builds something: silence is no reason to stop it.
        locks: Only one at a time for an app: two at once would mix.
        kept: Done once is enough: a run that is taken up again keeps its result. What
            only reads runs again, since it may have changed.

    """

    name: str
    result: type[Result] = Result
    require: Callable[[Any], None] | None = None
    changes: bool = False
    locks: bool = False
    kept: bool = False
