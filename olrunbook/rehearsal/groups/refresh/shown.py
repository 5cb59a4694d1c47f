"""A refresh as DescribeInstanceRefreshes shows it."""

from __future__ import annotations

from typing import Any

from olrunbook.rehearsal.groups.members import moment
from olrunbook.rehearsal.groups.refresh.engine import Refresh


def shown(refresh: Refresh) -> dict[str, Any]:
    """Return a refresh in AWS's shape; what has no value yet is left out."""
    back = refresh.rollback
    waiting = back["InstancesToUpdateOnRollback"] if back else len(refresh.todo)
    fields = {
        "InstanceRefreshId": refresh.id,
        "AutoScalingGroupName": refresh.group.name,
        "Status": refresh.status,
        "StatusReason": refresh.reason,
        "StartTime": moment(refresh.started),
        "EndTime": moment(refresh.ended) if refresh.ended else None,
        "PercentageComplete": refresh.percent(),
        "InstancesToUpdate": waiting,
        "Preferences": refresh.preferences.values,
        "DesiredConfiguration": refresh.desired,
        "RollbackDetails": back,
        "Strategy": "Rolling",
    }
    return {key: value for key, value in fields.items() if value is not None}
