"""What an update would do: the preview that people read, and rules judge."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from olrunbook.adapters.aws.seen import GroupSeen
from olrunbook.record.model import RollbackRecord
from olrunbook.steps.deploy.rules import apart, is_roll
from olrunbook.steps.results import (
    Difference,
    OutsideChange,
    ResourceChange,
    Result,
    Value,
)


class Finding(Value):
    """What a rule says of a preview."""

    rule: str
    verdict: Literal["deny", "warn"]  # deny: it is refused; warn: people should know
    text: str  # what is the matter
    overridden: str = ""  # why it is done nevertheless; empty: it is not


class PreviewResult(Result):
    """What an update of a stage would do."""

    schema_name: ClassVar[str] = "olrunbook/preview/1"

    app: str = ""
    stage: str = ""
    target: str = ""
    protected: bool = False  # its gate demands signatures or more people than one
    project: str  # Pulumi project
    stack: str
    version: int  # version of the stack's state; 0: it was never updated
    state: str  # digest of that state; the update is held to it
    token: str  # finds the copy and the plan again, in the same run
    counts: dict[str, int]  # operation to number, from Pulumi's summary event
    changes: list[ResourceChange]  # the resources that are not left as they are
    # what somebody changed outside since the last update
    outside: list[OutsideChange] = Field(default_factory=list)
    # what changes in user data, by file and key
    user_data: list[Difference] = Field(default_factory=list)
    # what else changed between what serves and what is to serve
    since: list[Difference] = Field(default_factory=list)
    images: dict[str, str]  # the image set that is pinned
    groups: list[GroupSeen]  # the Auto Scaling groups as they are now
    # least, wanted and most instances of each group afterwards, by its tag `Name`
    sizes: dict[str, tuple[int, int, int]] = Field(default_factory=dict)
    # least and most instances that the catalog allows a group; None: any
    bounds: tuple[int, int] | None = None
    findings: list[Finding] = Field(default_factory=list)  # what the rules say of it
    outlook: list[str]  # what the update means for what serves, a sentence each
    # what it goes back to, and from what; None: it is no rollback
    rollback: RollbackRecord | None = None
    by_hand: str  # the command that does the same without olrunbook
    digest: str  # over everything that an approval of this preview approves
    # the digest of each part of it, by name: they say what differs
    parts: dict[str, str] = Field(default_factory=dict)

    @property
    def apart(self) -> list[ResourceChange]:
        """The changes that are not part of an image roll."""
        return apart(self.changes)

    @property
    def programs(self) -> list[ResourceChange]:
        """The changes without what only puts back what was changed outside."""
        back = (one for one in self.outside if one.then == "puts it back")
        undone = {(one.urn, one.what) for one in back}
        found = []
        for change in self.changes:
            left = [c for c in change.changes if (change.urn, c.path) not in undone]
            if left or not (change.changes or (change.urn, "") in undone):
                roll = is_roll(change.op, change.type, [item.path for item in left])
                told = {"changes": left, "expected": change.expected or roll}
                found.append(change.model_copy(update=told))
        return found

    @property
    def denied(self) -> list[Finding]:
        """What the rules deny, and nobody has overridden."""
        return [f for f in self.findings if f.verdict == "deny" and not f.overridden]

    @property
    def idle(self) -> bool:
        """Whether the update would change nothing: nobody need be asked."""
        return not self.changes and not self.outside

    def headline(self) -> str:
        """Return the counts: `3 to update, 14 same`."""
        parts = [
            f"{number} to {op}"
            for op, number in sorted(self.counts.items())
            if number and op != "same"
        ]
        if same := self.counts.get("same"):
            parts.append(f"{same} same")
        text = ", ".join(parts) or "nothing to do"
        if others := len(self.apart):
            text += f"; {others} of them not part of an image roll"
        if self.denied:
            rules = dict.fromkeys(finding.rule for finding in self.denied)
            text += f"; denied by {', '.join(rules)}"
        return f"rollback: {text}" if self.rollback else text
