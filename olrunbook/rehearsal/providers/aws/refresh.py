"""Waits of the Auto Scaling handlers: for capacity, a refresh's start, an end."""

from __future__ import annotations

import re
import time
from typing import Any

from olrunbook.rehearsal.providers.handler import Caller
from olrunbook.rehearsal.providers.values import Props, api

NAME = "AutoScalingGroupName"
CAPACITY_TIMEOUT = "10m"  # the real provider's default
START_TIMEOUT_S = 600.0
POLL_S = 0.5
NUMBERS = (
    "minHealthyPercentage",
    "maxHealthyPercentage",
    "instanceWarmup",
    "checkpointDelay",
    "bakeTime",
)
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(duration: str) -> float:
    """Return a Go duration (`10m`, `1h30m`, `0`) in seconds."""
    found = re.findall(r"(\d+(?:\.\d+)?)(ms|[smh])", duration)
    return sum(float(number) * UNITS[unit] for number, unit in found)


def wait_for_capacity(call: Caller, name: str, wanted: Props) -> None:
    """Wait until the group has launched its instances.

    AWS puts an instance into service once it runs, before a load balancer has judged
    it. A cloud that waits for the service counts it as Pending until then, so Pending
    counts here when EC2 says `running`.

    Args:
        call: API clients; its `stopping` ends the wait early without an error.
        name: The group's name.
        wanted: The inputs (`desiredCapacity`, `minSize`, `waitForCapacityTimeout`).

    Raises:
        TimeoutError: It did not launch them in time; with the last scaling activity.

    """
    limit_s = seconds(str(wanted.get("waitForCapacityTimeout") or CAPACITY_TIMEOUT))
    target = int(wanted.get("desiredCapacity") or wanted.get("minSize") or 0)
    end = time.monotonic() + limit_s
    while limit_s and target:
        have = _launched(call, name)
        if have >= target:
            return
        if time.monotonic() > end:
            msg = (
                f"timeout while waiting for capacity: {have} of {target} instances run"
            )
            raise TimeoutError(msg + _last_activity(call, name))
        if call.stopping.wait(POLL_S):
            return


def wait_until_gone(call: Caller, name: str) -> None:
    """Wait until a group that is being deleted is no longer listed.

    Raises:
        TimeoutError: It still is after ten minutes.

    """
    end = time.monotonic() + seconds(CAPACITY_TIMEOUT)
    describe = call.api("autoscaling").describe_auto_scaling_groups
    while describe(AutoScalingGroupNames=[name])["AutoScalingGroups"]:
        if time.monotonic() > end:
            msg = f"{name} is still being deleted"
            raise TimeoutError(msg)
        if call.stopping.wait(POLL_S):
            return


def _launched(call: Caller, name: str) -> int:
    groups = call.api("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[name]
    )["AutoScalingGroups"]
    instances = groups[0]["Instances"] if groups else []
    serving = [item for item in instances if item["LifecycleState"] == "InService"]
    pending = [
        item["InstanceId"] for item in instances if item["LifecycleState"] == "Pending"
    ]
    if not pending:
        return len(serving)
    found = call.api("ec2").describe_instances(InstanceIds=pending)["Reservations"]
    running = [
        item
        for reservation in found
        for item in reservation["Instances"]
        if item["State"]["Name"] == "running"
    ]
    return len(serving) + len(running)


def _last_activity(call: Caller, name: str) -> str:
    found = call.api("autoscaling").describe_scaling_activities(**{NAME: name})
    for activity in found.get("Activities", []):
        if activity.get("StatusCode") != "Successful":
            text = activity.get("StatusMessage") or activity.get("Description")
            return f"; last scaling activity: {text}"
    return ""


def preferences(refresh: Props) -> Props:
    """Return all preferences of an `instanceRefresh` as the API takes them."""
    given = {
        key: value
        for key, value in (refresh.get("preferences") or {}).items()
        if value not in (None, "", [])
    }
    for key in NUMBERS:
        if key in given:
            given[key] = int(float(given[key]))
    if given.get("checkpointPercentages"):
        given["checkpointPercentages"] = [
            int(n) for n in given["checkpointPercentages"]
        ]
    converted: Props = api(given)
    return converted


def start_refresh(
    call: Caller, name: str, refresh: Props, template: dict[str, Any] | None
) -> None:
    """Start an instance refresh; one in progress is cancelled first.

    The group's launch template is the desired configuration of an automatic rollback.

    Raises:
        TimeoutError: The refresh in progress could not be cancelled in time.

    """
    scaling = call.api("autoscaling")
    wanted = preferences(refresh)
    more: Props = {}
    if wanted.get("AutoRollback") and template:
        more["DesiredConfiguration"] = {"LaunchTemplate": template}
    end = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            scaling.start_instance_refresh(
                **{NAME: name},
                Strategy=refresh.get("strategy") or "Rolling",
                Preferences=wanted,
                **more,
            )
        except scaling.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "InstanceRefreshInProgress":
                raise
        else:
            return
        _cancel(scaling, name)
        if time.monotonic() > end:
            msg = f"{name}: a refresh in progress could not be cancelled"
            raise TimeoutError(msg)
        call.stopping.wait(POLL_S)


def _cancel(scaling: Any, name: str) -> None:
    try:
        scaling.cancel_instance_refresh(**{NAME: name})
    except scaling.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "ActiveInstanceRefreshNotFound":
            raise
