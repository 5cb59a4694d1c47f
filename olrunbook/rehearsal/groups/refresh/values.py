"""What a refresh is made of: its pace, and the instances on their way into service."""

from __future__ import annotations

from dataclasses import dataclass

from moto.autoscaling.models import InstanceState

ACTIVE = ("Pending", "InProgress", "Baking", "Cancelling", "RollbackInProgress")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a refresh goes: seconds for a launch, factor on AWS's durations."""

    launch_s: float
    scale: float


@dataclass(slots=True)
class Arrival:
    """A new instance on its way into service in the place of an old one."""

    new: InstanceState  # the new instance
    old: InstanceState  # the one it replaces
    at: float  # when it is looked at next (seconds since the epoch)
    warm: bool = False  # whether its warm-up has begun
