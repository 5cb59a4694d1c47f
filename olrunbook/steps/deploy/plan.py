"""What an update would do: the preview that people read, and rules judge."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from olrunbook.record.model import RollbackRecord
from olrunbook.steps.deploy.rules import apart
from olrunbook.steps.deploy.since import Since
from olrunbook.steps.results import GroupSeen, ResourceChange, Result, Value

__all__ = ["Finding", "OutsideChange", "PreviewResult", "UserDataChange"]


class Finding(Value):
    """What a rule says of a preview.

    Args:
        rule: The rule.
        verdict: `deny`: the update is refused; `warn`: people should know.
        text: What is the matter.
        overridden: Why it is done nevertheless; empty: it is not.

    """

    rule: str
    verdict: Literal["deny", "warn"]
    text: str
    overridden: str = ""


class UserDataChange(Value):
    """One value that changes in what an instance gets at its first boot.

    Args:
        name: Logical name of the resource that has the user data.
        file: The file it is in, or the part.
        key: Its key, or its line.
        kind: add, delete, update.
        old: Before; secrets are masked.
        new: Afterwards; likewise.

    """

    name: str
    file: str
    key: str
    kind: str
    old: str = ""
    new: str = ""


class OutsideChange(Value):
    """One property that somebody changed outside: it is not as the state has it.

    Args:
        type: Pulumi type token.
        name: Logical name.
        urn: Its URN.
        path: The property; empty: the resource is gone.
        state: As the last update left it.
        account: As it is.
        then: What the update does about it.
        undone: The update puts it back, and does nothing else to it.

    """

    type: str
    name: str
    urn: str
    path: str
    state: str
    account: str
    then: str
    undone: bool


class PreviewResult(Result):
    """What an update of a stage would do.

    Args:
        app: The app.
        stage: The stage.
        target: The target.
        protected: The stage's gate demands signatures or more people than one.
        project: Pulumi project.
        stack: Stack name.
        version: Version of the stack's state; 0: it was never updated.
        state: Digest of that state; the update is held to it.
        token: Finds the copy and the plan again, in the same run.
        counts: Operation to number of resources, from Pulumi's summary event.
        changes: The resources that are not left as they are.
        outside: What somebody changed outside since the last update.
        user_data: What changes in user data, by file and key.
        since: What else changed between what serves and what is to serve.
        images: The image set that is pinned.
        groups: The Auto Scaling groups as they are now.
        sizes: Least, wanted and most instances of each group afterwards, by its tag
            `Name`.
        bounds: Least and most instances that the catalog allows a group; None: any.
        findings: What the rules say of it.
        outlook: What the update means for what serves, a sentence each.
        rollback: What it goes back to, and from what; None: it is no rollback.
        by_hand: The command that does the same without olrunbook.
        digest: Over everything that an approval of this preview approves.
        parts: The digest of each part of it, by name: they say what differs.

    """

    schema_name: ClassVar[str] = "olrunbook/preview/1"

    app: str = ""
    stage: str = ""
    target: str = ""
    protected: bool = False
    project: str
    stack: str
    version: int
    state: str
    token: str
    counts: dict[str, int]
    changes: list[ResourceChange]
    outside: list[OutsideChange] = Field(default_factory=list)
    user_data: list[UserDataChange] = Field(default_factory=list)
    since: list[Since] = Field(default_factory=list)
    images: dict[str, str]
    groups: list[GroupSeen]
    sizes: dict[str, tuple[int, int, int]] = Field(default_factory=dict)
    bounds: tuple[int, int] | None = None
    findings: list[Finding] = Field(default_factory=list)
    outlook: list[str]
    rollback: RollbackRecord | None = None
    by_hand: str
    digest: str
    parts: dict[str, str] = Field(default_factory=dict)

    @property
    def apart(self) -> list[ResourceChange]:
        """The changes that are not part of an image roll."""
        return apart(self.changes)

    @property
    def programs(self) -> list[ResourceChange]:
        """The changes without what only puts back what was changed outside."""
        undone = {(one.urn, one.path) for one in self.outside if one.undone}
        found = []
        for change in self.changes:
            left = [
                item for item in change.changes if (change.urn, item.path) not in undone
            ]
            if left or not (change.changes or (change.urn, "") in undone):
                found.append(change.model_copy(update={"changes": left}))
        return found

    @property
    def denied(self) -> list[Finding]:
        """What the rules deny, and nobody has overridden."""
        return [f for f in self.findings if f.verdict == "deny" and not f.overridden]

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
