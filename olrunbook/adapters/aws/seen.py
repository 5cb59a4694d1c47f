"""What was seen of the AWS account at one moment, as plain frozen values."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

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
REVOKED = "revoked"  # the tag of an image that no stage may get any more


class Seen(BaseModel, frozen=True, extra="forbid"):
    """A frozen value that refuses unknown fields."""


class InstanceSeen(Seen):
    """One instance of an Auto Scaling group at one moment."""

    id: str
    image: str  # the image it really runs (from EC2; a tag proves nothing)
    lifecycle: str  # `Pending`, `InService`, `Terminating`, … as the group says
    health: str  # `Healthy` or `Unhealthy` as the group says
    # as the load balancer says; where the group has none, as EC2's status checks say,
    # `status ok`; empty: nobody was asked
    target_health: str = ""
    reason: str = ""  # why that is so, in AWS's words
    launched_at: datetime | None = None  # when it was launched (UTC)
    template_version: str = ""  # version of the launch template it was made from

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
    """An Auto Scaling group at one moment."""

    node_type: str  # node type of the app
    tag_name: str  # tag `Name` it is found by
    alone: bool = True  # its node type has no other group
    name: str = ""  # its physical name; empty: there is none
    desired: int = 0  # desired capacity
    created_at: datetime | None = None  # when it was made (UTC)
    refresh_ids: list[str] = []  # ids of its instance refreshes, newest first
    instances: list[InstanceSeen] = []

    @property
    def label(self) -> str:
        """What people call it: its node type, and its tag where that has several."""
        return self.node_type if self.alone else f"{self.node_type} {self.tag_name}"

    def others(self, image: str) -> str:
        """Return which images it runs beside this one: `ami-0a17…00a and ami-…`."""
        runs = {one.image for one in self.instances if not one.leaving}
        # EC2 may not describe one that is just launched.
        return " and ".join(sorted(map(short, runs - {image, ""})))


class RefreshSeen(Seen):
    """An instance refresh at one moment."""

    id: str
    status: str  # as the API says: `InProgress`, `Successful`, `Cancelled`, …
    reason: str = ""  # why it is so, in AWS's words
    percent: int = 0  # how much is done; goes down while it rolls back
    to_update: int = 0  # instances whose replacement has not begun
    started_at: datetime | None = None  # when it began (UTC)
    ended_at: datetime | None = None  # when it ended
    # percentage of the desired capacity that stays healthy
    min_healthy: int | None = None
    # percentage that may run at once; None: not limited by a request, which means that
    # an instance ends while its replacement starts
    max_healthy: int | None = None
    warmup_s: int | None = None  # seconds a new instance warms up
    skip_matching: bool = False  # leave instances that already match alone

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
    """The launch template of a group."""

    # the version the group launches from, often `$Latest`; empty: the group has no
    # template
    version: str = ""
    number: str = ""  # what that version is at this moment
    image: str = ""  # image of that version


class ImageSeen(Seen):
    """An image (AMI)."""

    id: str
    name: str = ""
    state: str = ""  # as the API says; empty: there is no image of the id
    tags: dict[str, str] = {}

    @property
    def revoked(self) -> str:
        """When, by whom and why it was revoked; empty: it is not."""
        silent = "without a word" if REVOKED in self.tags else ""
        return self.tags.get(REVOKED) or silent


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
