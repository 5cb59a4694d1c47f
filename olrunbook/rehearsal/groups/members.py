"""What moto does not keep about groups and their instances."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState

from olrunbook.rehearsal.groups.source import LaunchSource

ACTIVITIES_KEPT = 200


def moment(seconds: float) -> datetime:
    """Return seconds since the epoch as an aware datetime in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


@dataclass(slots=True)
class Member:
    """More about one instance of a group."""

    # launch template and version it was really launched from
    template: dict[str, str] | None = None
    # when it was launched (seconds since the epoch)
    born: float = field(default_factory=time.time)
    up_since: float | None = None  # when it was first seen running
    # launched before the one it replaces goes: it does not count yet
    surplus: bool = False


class ActiveRefresh(Protocol):
    """What a group must know of the refresh that replaces its instances."""

    status: str
    desired: dict[str, Any] | None
    source: LaunchSource | None
    forward: bool

    def arriving(self) -> list[InstanceState]:
        """Return the new instances on their way into service."""

    def forget(self, state: InstanceState) -> None:
        """Leave out an instance that its group replaces for another reason."""

    def advance(self, now: float) -> None:
        """Go through every event that is due."""


@dataclass(slots=True)
class GroupState:
    """More about one group."""

    refresh: ActiveRefresh | None = None  # the refresh that is active
    # scaling activities, newest first
    activities: list[dict[str, Any]] = field(default_factory=list)
    default_warmup: int | None = None  # defaultInstanceWarmup in seconds
    retry_at: float = 0.0  # no launch is tried before this moment (one has just failed)


class Ledger:
    """Keeps both, for as long as moto keeps the group or the instance."""

    def __init__(self) -> None:
        self._groups = WeakKeyDictionary[FakeAutoScalingGroup, GroupState]()
        self._members = WeakKeyDictionary[InstanceState, Member]()

    def group(self, group: FakeAutoScalingGroup) -> GroupState:
        """Return what is kept about a group."""
        return self._groups.setdefault(group, GroupState())

    def member(self, state: InstanceState) -> Member:
        """Return what is kept about an instance."""
        return self._members.setdefault(state, Member())

    def note(
        self,
        group: FakeAutoScalingGroup,
        what: str,
        cause: str,
        *,
        failed: bool = False,
    ) -> None:
        """Add a scaling activity."""
        now = time.time()
        activities = self.group(group).activities
        activities.insert(
            0,
            {
                "ActivityId": str(uuid.uuid4()),
                "AutoScalingGroupName": group.name,
                "AutoScalingGroupARN": group.arn,
                "Description": what,
                "Cause": f"At {moment(now):%Y-%m-%dT%H:%M:%SZ} {cause}",
                "StartTime": moment(now),
                "EndTime": moment(now),
                "StatusCode": "Failed" if failed else "Successful",
                "StatusMessage": what.partition("Status Reason: ")[2] or None,
                "Progress": 100,
                "Details": "{}",
            },
        )
        del activities[ACTIVITIES_KEPT:]
