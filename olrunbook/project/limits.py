"""How long a run, a step and its silence may last. Part of the catalog; seconds."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class StepLimits(BaseModel, frozen=True, extra="forbid"):
    """Limits of one step."""

    step_s: float | None = Field(None, ge=0)  # seconds it may take; 0: any
    idle_s: float | None = Field(None, ge=0)  # seconds it may be silent; 0: any
    # what silence does: `warn` or `stop`
    on_idle: Literal["warn", "stop"] | None = None


class Limits(BaseModel, frozen=True, extra="forbid"):
    """Limits of a run, in seconds; 0 is none."""

    run_s: float = Field(0, ge=0)  # the whole run
    # a step that only reads (or a cell without a step)
    step_s: float = Field(3600, ge=0)
    # Silence. It stops a step that only reads; one that builds or changes is only
    # warned about, and nothing cuts it off.
    idle_s: float = Field(900, ge=0)
    steps: dict[str, StepLimits] = {}  # other limits for single steps, by name

    def of(self, step: str, *, changes: bool = False) -> StepLimits:
        """Return the limits in force for a step.

        Args:
            step: Its name; empty: a cell without one.
            changes: It changes or builds something: cut off in the middle it leaves a
                mess, and its tools are silent for minutes. A person decides, unless the
                catalog does.

        """
        own = self.steps.get(step, StepLimits())
        hard = 0.0 if changes else self.step_s
        return StepLimits(
            step_s=hard if own.step_s is None else own.step_s,
            idle_s=self.idle_s if own.idle_s is None else own.idle_s,
            on_idle=own.on_idle or ("warn" if changes else "stop"),
        )
