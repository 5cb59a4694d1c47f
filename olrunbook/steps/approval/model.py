"""What a gate asks, what was decided, and the result of its step."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from olrunbook.project.gates import GateSpec
from olrunbook.steps.results import Result, Value
from olrunbook.steps.step import Step

__all__ = ["STEP", "Approval", "Asked", "GateResult", "question_of"]

Status = Literal["no gate", "not asked", "approved"]


def question_of(stage: str) -> str:
    """Return what the gate of a stage asks."""
    return f"Apply these changes to {stage}?"


class Asked(Value):
    """What a gate asks, and of whom: an approval is of exactly this.

    Args:
        gate: The gate: its stage.
        digest: Of everything that was shown.
        spec: How many people, how long, signed or not.
        runs: The run that asks, then those that it takes up again, newest first.
        runners: Names of those who started these runs, as far as they are known.

    """

    gate: str
    digest: str
    spec: GateSpec
    runs: list[str]
    runners: list[str] = Field(default_factory=list)


class Approval(Value):
    """One person's approval, as it stands in the chain.

    Args:
        entry: Number of its entry in the chain.
        person: Who.
        known: How that is known.
        reason: Why.
        at: When (UTC).
        until: When it ends (UTC).
        emergency: It was enough where more people were demanded.

    """

    entry: int
    person: str
    known: str
    reason: str
    at: str
    until: str
    emergency: bool = False


class GateResult(Result):
    """How a run came past a gate.

    Args:
        gate: The gate: its stage.
        question: What was asked.
        status: `approved`; `no gate`: the stage has none; `not asked`: the update was
            done before, and is kept.
        digest: Of everything that was shown.
        approvals: Those that were used.

    """

    schema_name: ClassVar[str] = "olrunbook/gate/1"

    gate: str
    question: str
    status: Status
    digest: str
    approvals: list[Approval] = Field(default_factory=list)

    def headline(self) -> str:
        """Return who approved and why, or why nobody was asked."""
        if self.status == "not asked":
            return "not asked: the update was done before and is kept"
        given = [f'{a.person}, "{a.reason}"' for a in self.approvals]
        alone = "EMERGENCY: " if any(a.emergency for a in self.approvals) else ""
        return f"{alone}approved by {'; '.join(given)}" if given else self.status


STEP = Step("gate", GateResult)
