"""Preferences of an instance refresh: defaults and limits as AWS has them."""

from __future__ import annotations

import math
from typing import Any

from moto.autoscaling.exceptions import ValidationError

from olrunbook.rehearsal.groups.source import LaunchSource

HOUR = 3600
_DEFAULTS = {
    "MinHealthyPercentage": 90,
    "SkipMatching": False,
    "AutoRollback": False,
    "ScaleInProtectedInstances": "Wait",
    "StandbyInstances": "Wait",
}


class Preferences:
    """What a refresh was told, with AWS's defaults filled in."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values  # as DescribeInstanceRefreshes shows them
        # Seconds: from InService until an instance counts, after the last instance,
        # and at a checkpoint.
        self.warmup_s = int(values.get("InstanceWarmup") or 0)
        self.bake_s = int(values.get("BakeTime") or 0)
        self.checkpoint_delay_s = int(values.get("CheckpointDelay", HOUR))
        # Percentages at which to stop a while; a last one below 100 ends it.
        self.checkpoints: list[int] = values.get("CheckpointPercentages") or []
        # CloudWatch alarms that end it.
        alarms = values.get("AlarmSpecification") or {}
        self.alarms: list[str] = alarms.get("Alarms") or []
        self.skip_matching = bool(values.get("SkipMatching"))
        self.auto_rollback = bool(values.get("AutoRollback"))
        # `Refresh`, `Ignore` or `Wait`.
        self.protected = values.get("ScaleInProtectedInstances")
        self.standby = values.get("StandbyInstances")

    @classmethod
    def parse(
        cls,
        given: dict[str, Any],
        desired: dict[str, Any] | None,
        before: LaunchSource,
        warmup: int,
    ) -> Preferences:
        """Check preferences and fill in the defaults.

        Args:
            given: Of the call.
            desired: Its desired configuration.
            before: What the group launches now.
            warmup: Warm-up in seconds where none is given.

        Raises:
            ValidationError: In AWS's words where they are known.

        """
        low, high = given.get("MinHealthyPercentage"), given.get("MaxHealthyPercentage")
        points = given.get("CheckpointPercentages")
        if high is not None and (low is None or high - low > 100):  # noqa: PLR2004
            msg = (
                "MaxHealthyPercentage requires MinHealthyPercentage, and the "
                "difference between them cannot be greater than 100."
            )
            raise ValidationError(msg)
        if points and (
            points != sorted(set(points)) or not all(1 <= p <= 100 for p in points)  # noqa: PLR2004
        ):
            msg = (
                "CheckpointPercentages must be unique, ascending and between 1 and 100."
            )
            raise ValidationError(msg)
        if given.get("CheckpointDelay") is not None and not points:
            msg = "CheckpointDelay requires CheckpointPercentages."
            raise ValidationError(msg)
        if given.get("AutoRollback") and not desired:
            msg = (
                "The request isn't valid. The AutoRollback parameter cannot be set to "
                "true when the DesiredConfiguration parameter is empty. Set "
                "AutoRollback to false or specify a desired configuration and try "
                "again."
            )
            raise ValidationError(msg)
        if given.get("AutoRollback") and not before.reversible:
            msg = (
                "AutoRollback needs a group with a numbered launch template version "
                "and an AMI ID."
            )
            raise ValidationError(msg)
        values = {**_DEFAULTS, "InstanceWarmup": warmup, **given}
        if points:
            values.setdefault("CheckpointDelay", HOUR)
        return cls(values)

    def batch(self, desired: int) -> tuple[int, int]:
        """Return how many instances to replace at once, and how many of them go first.

        Without MaxHealthyPercentage, AWS terminates an instance and launches its
        replacement simultaneously, and at least one always goes: a group of one has an
        outage whatever MinHealthyPercentage says.
        """
        size = max(desired, 1)
        low = float(self.values["MinHealthyPercentage"])
        high = self.values.get("MaxHealthyPercentage")
        down = size - math.ceil(size * low / 100)
        if high is None:
            return max(down, 1), max(down, 1)
        up = math.floor(size * float(high) / 100) - size
        # Where neither limit leaves room, AWS launches first.
        return (1, 0) if up + down == 0 else (up + down, down)
