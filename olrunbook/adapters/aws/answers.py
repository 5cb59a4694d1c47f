"""How AWS's answers are asked for and read: pages, errors, times, words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from olrunbook.adapters.aws.seen import HEALTHY, InstanceSeen, RefreshSeen
from olrunbook.errors import ToolError

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import type_defs as asg
    from mypy_boto3_ec2 import type_defs as ec2

__all__ = [
    "asked",
    "instance_seen",
    "pages",
    "refresh_seen",
    "tags_of",
    "template_of",
    "utc",
]

Page = TypeVar("Page", bound=Mapping[str, object])

NO_ANSWER = "Is the target up? olrunbook rehearsal status"


@contextmanager
def asked(what: str) -> Iterator[None]:
    """Turn the client's errors into ours."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (heavy)

    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        msg = f"AWS refused {what}: {said.get('Code')}: {said.get('Message')}"
        raise ToolError(msg) from error
    except BotoCoreError as error:
        msg = f"AWS does not answer ({what}): {error}"
        raise ToolError(msg, NO_ANSWER) from error


def pages(call: Callable[..., Page], **arguments: object) -> Iterator[Page]:
    """Yield every page of an answer."""
    token: dict[str, object] = {}
    while True:
        page = call(**arguments, **token)
        yield page
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def tags_of(group: asg.AutoScalingGroupTypeDef) -> dict[str, str]:
    """Return a resource's tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in group.get("Tags", [])}


def utc(at: datetime | None) -> datetime | None:
    """Return the moment in UTC."""
    return at.astimezone(UTC) if at else None


def instance_seen(
    item: asg.InstanceTypeDef,
    machine: ec2.InstanceTypeDef,
    health: Sequence[Mapping[str, str]],
) -> InstanceSeen:
    """Return an instance as its group, EC2 and the target groups describe it.

    Args:
        item: What the group says.
        machine: What EC2 says; empty: it is gone.
        health: Instance to state, one for each target group.

    """
    # The worst a target group says of it; empty: there is none.
    words = [states.get(item["InstanceId"], "not registered") for states in health]
    worst = next((word for word in words if word != HEALTHY), HEALTHY if words else "")
    return InstanceSeen(
        id=item["InstanceId"],
        image=machine.get("ImageId", ""),
        lifecycle=item["LifecycleState"],
        health=item["HealthStatus"].capitalize(),
        target_health=worst,
        launched_at=utc(machine.get("LaunchTime")),
        template_version=item.get("LaunchTemplate", {}).get("Version", ""),
    )


def template_of(group: asg.AutoScalingGroupTypeDef) -> tuple[str, str]:
    """Return id and version of a group's launch template; empty: it has none."""
    mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    spec = group.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification", {})
    return spec.get("LaunchTemplateId", ""), spec.get("Version", "$Default")


def refresh_seen(item: asg.InstanceRefreshTypeDef) -> RefreshSeen:
    """Return an instance refresh as it was described."""
    preferences = item.get("Preferences", {})
    rollback = item.get("RollbackDetails", {}).get("RollbackReason", "")
    reasons = [text for text in (item.get("StatusReason", ""), rollback) if text]
    return RefreshSeen(
        id=item["InstanceRefreshId"],
        status=item["Status"],
        reason="; ".join(dict.fromkeys(reasons)),
        percent=item.get("PercentageComplete", 0),
        to_update=item.get("InstancesToUpdate", 0),
        started_at=utc(item.get("StartTime")),
        ended_at=utc(item.get("EndTime")),
        min_healthy=preferences.get("MinHealthyPercentage"),
        max_healthy=preferences.get("MaxHealthyPercentage"),
        warmup_s=preferences.get("InstanceWarmup"),
        skip_matching=bool(preferences.get("SkipMatching", False)),
    )
