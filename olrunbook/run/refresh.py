"""The steps of a refresh as a notebook calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from olrunbook.adapters.context import Context
    from olrunbook.display import Shown
    from olrunbook.run.gate import Gate
    from olrunbook.run.recorder import Recorder
    from olrunbook.steps.results import Result
    from olrunbook.steps.rollout.refresh import RefreshBegan, RefreshPlan
    from olrunbook.steps.step import Step

__all__ = ["RefreshSteps"]


class RefreshSteps:
    """What a run can do beside updates: replace the instances of a stage."""

    _context: Context
    _gate: Gate
    _recorder: Recorder
    _do: Callable[[Step, Callable[[], Result]], Shown]
    _travels: Callable[[dict[str, str]], None]

    def planned(self, min_healthy: str = "", max_healthy: str = "") -> Shown:
        """Say what a refresh of the stage would do; change nothing.

        Args:
            min_healthy: Percent that stay healthy; empty: as in the last refresh.
            max_healthy: Percent that may run at once; empty: likewise, else 110.

        Raises:
            UsageError: A percentage is none that AWS takes.
            RefusedError: There is nothing to refresh, or a refresh is in progress.

        """
        from olrunbook.steps.rollout import refresh  # noqa: PLC0415

        kept = self._recorder.keeps(refresh.BEGAN)
        asked = {"min_healthy": str(min_healthy), "max_healthy": str(max_healthy)}
        shown = self._do(
            refresh.PLANNED, lambda: refresh.planned(self._context, asked, began=kept)
        )
        self._travels(shown.images)
        return shown

    def began(self, plan: Shown | RefreshPlan) -> Shown:
        """Start exactly the refresh that was planned, once it is past the gate.

        Args:
            plan: What `planned` returned.

        Raises:
            RefusedError: It did not pass the gate, or is not as it was planned.

        """
        from olrunbook.steps.rollout import refresh  # noqa: PLC0415

        own = cast("RefreshPlan", getattr(plan, "result", plan))

        def work() -> Result:
            self._gate.require(own)
            return refresh.began(self._context, own)

        return self._do(refresh.BEGAN, work)

    def watched(self, began: Shown | RefreshBegan) -> Shown:
        """Wait until every instance was replaced and serves, or that has failed.

        Args:
            began: What `began` returned.

        """
        from olrunbook.steps.rollout import refresh  # noqa: PLC0415

        own = cast("RefreshBegan", getattr(began, "result", began))
        return self._do(refresh.WATCHED, lambda: refresh.watched(self._context, own))
