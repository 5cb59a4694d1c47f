"""Watch the clock of a run: limits of the run, of a step, and of silence."""

from __future__ import annotations

from olrunbook.project.limits import Limits


class Watch:
    """Knows what goes on and since when; its clock counts monotonic seconds."""

    def __init__(self, limits: Limits, clock: float) -> None:
        self._limits = limits
        self.began = clock
        self.begun = False  # else only the run as a whole has a limit
        self.enter("", clock)

    def enter(self, step: str, clock: float, *, changes: bool = False) -> None:
        """Take note that a step began; empty: a cell, or what follows a step."""
        self._what = f'step "{step}"' if step else "the cell"
        self._step_began, self._now = clock, self._limits.of(step, changes=changes)
        self.hear(clock)

    def hear(self, clock: float) -> None:
        """Take note that something was said."""
        self._heard, self._warned = clock, False

    def silent_s(self, clock: float) -> float:
        """Return for how long nothing was said."""
        return clock - self._heard

    def over(self, clock: float) -> str:
        """Return which limit is passed, in words; empty: none that stops the run."""
        what, limits, run_s = self._what, self._now, self._limits.run_s
        if run_s and clock - self.began > run_s:
            return f"the run took more than {run_s:g} s (limits.run_s)"
        if not self.begun:  # a notebook that knows nothing of us
            return ""
        if limits.step_s and clock - self._step_began > limits.step_s:
            return f"{what} took more than {limits.step_s:g} s (limits.step_s)"
        if limits.on_idle == "stop" and self._idle(clock):
            return f"{what} was silent for {limits.idle_s:g} s (limits.idle_s)"
        return ""

    def warning(self, clock: float) -> str:
        """Return a sentence about silence that stops nothing, once; else empty."""
        if self._warned or not self.begun or not self._idle(clock):
            return ""
        self._warned = True
        idle_s = self._now.idle_s
        return f"{self._what} was silent for {idle_s:g} s; it is not stopped"

    def _idle(self, clock: float) -> bool:
        return 0 < (self._now.idle_s or 0) < self.silent_s(clock)
