"""What was seen of the AWS account at one moment, as plain frozen values."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

__all__ = [
    "ACTIVE",
    "ActivitySeen",
    "GroupSeen",
    "ImageSeen",
    "InstanceSeen",
    "RefreshSeen",
    "Seen",
    "TemplateSeen",
    "short",
]

# A refresh in one of these is still at work; every other status is an end. The API
# spells it `Cancelling`.
ACTIVE = frozenset(
    {"Pending", "InProgress", "Baking", "Cancelling", "RollbackInProgress"}
)
HEALTHY, IN_SERVICE = "healthy", "InService"
STATUS_OK = "status ok"
# Words of a load balancer or of EC2 for an instance that is ill, not just starting.
ILL = ("unhealthy", "status impaired")
UUID_LENGTH = 36


class Seen(BaseModel, frozen=True, extra="forbid"):
    """A frozen value that refuses unknown fields."""


class InstanceSeen(Seen):
    """One instance of an Auto Scaling group at one moment.

    Args:
        id: Its id.
        image: The image it really runs (from EC2; a tag proves nothing).
        lifecycle: `Pending`, `InService`, `Terminating`, … as the group says.
        health: `Healthy` or `Unhealthy` as the group says.
        target_health: As the load balancer says; where the group has none, as EC2's
            status checks say, `status ok`; empty: nobody was asked.
        reason: Why that is so, in AWS's words.
        launched_at: When it was launched (UTC).
        template_version: Version of the launch template it was made from.

    """

    id: str
    image: str
    lifecycle: str
    health: str
    target_health: str = ""
    reason: str = ""
    launched_at: datetime | None = None
    template_version: str = ""

    @property
    def serves(self) -> bool:
        """Whether it is in service and everybody who checks calls it healthy."""
        return (
            self.lifecycle == IN_SERVICE
            and self.health == "Healthy"
            and self.target_health in ("", HEALTHY, STATUS_OK)
        )

    @property
    def sick(self) -> bool:
        """Whether somebody who checks calls it unhealthy."""
        return self.health == "Unhealthy" or self.target_health in ILL

    @property
    def leaving(self) -> bool:
        """Whether it is on its way out and no longer counts."""
        return self.lifecycle.startswith(("Terminat", "Detach"))

    @property
    def state(self) -> str:
        """How it is, in a few words: `in service, healthy` or `pending`."""
        words = self.lifecycle.replace(IN_SERVICE, "in service").lower()
        if self.leaving or self.lifecycle.startswith("Pending"):
            return words
        return f"{words}, {self.target_health or self.health.lower()}"


class GroupSeen(Seen):
    """An Auto Scaling group at one moment.

    Args:
        node_type: Node type of the app.
        tag_name: Tag `Name` it is found by.
        alone: Its node type has no other group.
        name: Its physical name; empty: there is none.
        desired: Desired capacity.
        created_at: When it was made (UTC).
        refresh_ids: Ids of its instance refreshes, newest first.
        instances: Its instances.

    """

    node_type: str
    tag_name: str
    alone: bool = True
    name: str = ""
    desired: int = 0
    created_at: datetime | None = None
    refresh_ids: list[str] = []
    instances: list[InstanceSeen] = []

    @property
    def label(self) -> str:
        """What people call it: its node type, and its tag where that has several."""
        return self.node_type if self.alone else f"{self.node_type} {self.tag_name}"


class RefreshSeen(Seen):
    """An instance refresh at one moment.

    Args:
        id: Its id.
        status: As the API says: `InProgress`, `Successful`, `Cancelled`, …
        reason: Why it is so, in AWS's words.
        percent: How much is done; goes down while it rolls back.
        to_update: Instances whose replacement has not begun.
        started_at: When it began (UTC).
        ended_at: When it ended.
        min_healthy: Percentage of the desired capacity that stays healthy.
        max_healthy: Percentage that may run at once; None: not limited by a request,
            which means that an instance ends while its replacement starts.
        warmup_s: Seconds a new instance warms up.
        skip_matching: Leave instances that already match alone.

    """

    id: str
    status: str
    reason: str = ""
    percent: int = 0
    to_update: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    min_healthy: int | None = None
    max_healthy: int | None = None
    warmup_s: int | None = None
    skip_matching: bool = False

    @property
    def active(self) -> bool:
        """Whether it is still at work."""
        return self.status in ACTIVE


class ActivitySeen(Seen):
    """A scaling activity: one thing a group did or tried to do."""

    at: datetime
    status: str
    description: str
    cause: str = ""
    message: str = ""


class TemplateSeen(Seen):
    """The launch template of a group.

    Args:
        version: The version the group launches from, often `$Latest`; empty: the group
            has no template.
        number: What that version is at this moment.
        image: Image of that version.

    """

    version: str = ""
    number: str = ""
    image: str = ""


class ImageSeen(Seen):
    """An image (AMI).

    Args:
        id: Its id.
        name: Its name.
        state: As the API says; empty: there is no image of the id.
        revoked: When, by whom and why it was revoked; empty: it is not.

    """

    id: str
    name: str = ""
    state: str = ""
    revoked: str = ""


def short(identifier: str) -> str:
    """Return an id as it is shown in a line: `ami-0df7…408`, `2de4959a`."""
    if "-" not in identifier:
        return identifier
    prefix, _, rest = identifier.partition("-")
    if len(identifier) == UUID_LENGTH:
        return prefix
    head, tail = 4, 3
    if len(rest) <= head + tail + 1:
        return identifier
    return f"{prefix}-{rest[:head]}…{rest[-tail:]}"
