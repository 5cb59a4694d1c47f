"""What a gate asks, what was decided, and the result of its step."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from olrunbook.project.gates import GateSpec
from olrunbook.steps.results import Result, Step, Value

Status = Literal["no gate", "no change", "not asked", "approved"]


def question_of(stage: str) -> str:
    """Return what the gate of a stage asks."""
    return f"Apply these changes to {stage}?"


class Asked(Value):
    """What a gate asks, and of whom: an approval is of exactly this."""

    gate: str  # the gate: its stage
    digest: str  # of everything that was shown
    spec: GateSpec  # how many people, how long, signed or not
    runs: list[str]  # the run that asks, then those that it takes up, newest first
    # names of those who started these runs, as far as they are known
    runners: list[str] = Field(default_factory=list)


class Approval(Value):
    """One person's approval, as it stands in the chain."""

    entry: int  # number of its entry in the chain
    person: str
    known: str  # how that is known
    reason: str
    at: str  # when (UTC)
    until: str  # when it ends (UTC)
    emergency: bool = False  # it was enough where more people were demanded


class GateResult(Result):
    """How a run came past a gate."""

    schema_name: ClassVar[str] = "olrunbook/gate/1"

    gate: str  # the gate: its stage
    question: str  # what was asked
    # `approved`; `no gate`: the stage has none; `no change`: nothing would be changed;
    # `not asked`: the update was done before, and is kept
    status: Status
    digest: str  # of everything that was shown
    approvals: list[Approval] = Field(default_factory=list)  # those that were used

    def headline(self) -> str:
        """Return who approved and why, or why nobody was asked."""
        if self.status == "no change":
            return "not asked: nothing would be changed"
        if self.status == "not asked":
            return "not asked: the update was done before and is kept"
        given = [f'{a.person}, "{a.reason}"' for a in self.approvals]
        alone = "EMERGENCY: " if any(a.emergency for a in self.approvals) else ""
        return f"{alone}approved by {'; '.join(given)}" if given else self.status


STEP = Step("gate", GateResult)
