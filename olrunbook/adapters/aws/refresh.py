"""Start an instance refresh: what this package changes in an account by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from olrunbook.adapters.aws.answers import asked
from olrunbook.errors import RefusedError

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import RefreshPreferencesTypeDef

    from olrunbook.targets import Target

__all__ = ["start_refresh"]


def start_refresh(
    target: Target,
    group: str,
    *,
    min_healthy: int,
    max_healthy: int,
    warmup_s: int | None = None,
) -> str:
    """Start replacing every instance of a group, also those that match its template.

    Args:
        target: The target.
        group: The group's physical name.
        min_healthy: Percentage of the desired capacity that stays healthy.
        max_healthy: Percentage that may run at once.
        warmup_s: Seconds a new instance warms up; None: as the group has it.

    Returns:
        The refresh's id.

    Raises:
        RefusedError: Another refresh of the group is in progress; none was started.
        ToolError: AWS refuses it, or does not answer.

    """
    preferences: RefreshPreferencesTypeDef = {
        "SkipMatching": False,
        "MinHealthyPercentage": min_healthy,
        "MaxHealthyPercentage": max_healthy,
    }
    if warmup_s is not None:
        preferences["InstanceWarmup"] = warmup_s
    with asked(f"a refresh of {group}"):
        try:
            answer = target.client("autoscaling").start_instance_refresh(
                AutoScalingGroupName=group,
                Strategy="Rolling",
                Preferences=preferences,
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code != "InstanceRefreshInProgress":
                raise
            msg = f"a refresh of {group} is in progress"
            hint = "Wait until it ends: olrunbook status"
            raise RefusedError(msg, hint) from None
    return answer["InstanceRefreshId"]
