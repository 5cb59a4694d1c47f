"""What a step is, and results that more than one step reads: JSON in the record."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel

from olrunbook.adapters.aws.seen import GroupSeen

HEADLINE = 200  # characters


class Value(BaseModel, frozen=True, extra="forbid"):
    """A frozen value that refuses unknown fields."""


class Result(Value):
    """What a step returns; `schema_name` says in the record what its JSON is."""

    schema_name: ClassVar[str] = ""

    def headline(self) -> str:
        """Return one line that answers the question the step was asked."""
        raise TypeError(type(self).__name__)


class Step(NamedTuple):
    """One step of a runbook: everybody who needs a fact of it reads it here."""

    name: str  # its name in record and journal
    result: type[Result] = Result  # what its result is
    # raises where the result is a failure; its table is shown first
    require: Callable[[Any], None] | None = None
    changes: bool = False  # it changes or builds: silence is no reason to stop it
    locks: bool = False  # only one at a time for an app: two at once would mix
    # Done once is enough: a run that is taken up again keeps its result. What only
    # reads runs again, since it may have changed.
    kept: bool = False


class OwnResult(Result):
    """What a step of a team's own returned, where that is no `Result`."""

    schema_name: ClassVar[str] = "olrunbook/own/1"

    value: Any = None  # as plain JSON; what JSON does not have is its text

    def headline(self) -> str:
        """Return the beginning of its text; empty for None."""
        text = "" if self.value is None else str(self.value)
        return text.splitlines()[0][:HEADLINE] if text.strip() else ""


def own(value: Any) -> Result:
    """Return what a step returned as a result: a `Result` is one already."""
    if isinstance(value, Result):
        return value
    plain = getattr(value, "model_dump", lambda **_: value)(mode="json")
    return OwnResult(value=json.loads(json.dumps(plain, default=str)))


def listed(names: Sequence[str]) -> str:
    """Return names as a person says them: `CI, QA and Production`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


class Difference(Value):
    """One thing that differs: where (file, resource, node type), what, old and new."""

    where: str
    what: str
    old: str = ""
    new: str = ""


class OutsideChange(Difference):
    """A property that somebody changed: `old` in the state, `new` in the account."""

    urn: str  # the resource's URN; `what` is empty where the resource is gone
    # what the update does about it
    then: Literal["puts it back", "sets another value", "leaves it"]


class PropertyChange(Value):
    """One property that changes; secrets are masked."""

    path: str
    kind: str
    old: str = ""
    new: str = ""


class ResourceChange(Value):
    """One resource that is not left as it is."""

    op: str  # Pulumi's operation: create, update, replace, delete, …
    gap: bool = False  # a replacement: the old one is deleted before there is a new one
    type: str  # Pulumi type token
    name: str
    urn: str
    changes: list[PropertyChange] = []  # what changes in it
    expected: bool = True  # an image roll changes this and nothing else (rule 6.2)

    def line(self) -> str:
        """Return it in a line: `update Group web imageId a → b`."""
        kind = self.type.rpartition(":")[2]
        texts = [f"{p.path} {p.old} → {p.new}" for p in self.changes]
        return f"{self.op} {kind} {self.name} {', '.join(texts)}"


class DeployResult(Result):
    """One update of a stack."""

    schema_name: ClassVar[str] = "olrunbook/deploy/1"

    project: str  # Pulumi project
    stack: str
    version: int  # version of the stack's state after the update
    counts: dict[str, int]  # operation to number, from Pulumi's summary event
    changes: list[ResourceChange]  # the resources that changed
    images: dict[str, str]  # the image set that was pinned
    outputs: dict[str, str]  # stack outputs; secret ones masked
    before: list[GroupSeen]  # the Auto Scaling groups before the update began
    groups: list[GroupSeen]  # the groups after it
    url: str  # where the load balancer answers
    started_at: datetime  # when the update began (UTC)
    ended_at: datetime  # when it ended (UTC)
    by_hand: str  # the command that does the same without olrunbook
    relied: str = ""  # what allowed it: the stage before, or that it is a rollback
    rollback: bool = False  # it was one

    def headline(self) -> str:
        """Return the counts: `17 created`, `rollback: 3 updated, 14 same`."""
        words = {"create": "created", "update": "updated", "delete": "deleted"}
        words |= {"replace": "replaced"}
        parts = [f"{n} {words.get(op, op)}" for op, n in self.counts.items() if n]
        parts.sort(key=lambda part: part.endswith("same"))
        return ("rollback: " if self.rollback else "") + (", ".join(parts) or "nothing")
