"""Start an instance refresh: what this package changes in an account by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from olrunbook.adapters.aws.answers import asked
from olrunbook.errors import RefusedError

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import RefreshPreferencesTypeDef

    from olrunbook.targets import Target


def start_refresh(target: Target, group: str, preferences: Mapping[str, int]) -> str:
    """Start to replace a group's instances, matching ones too; return the refresh's id.

    Raises:
        RefusedError: Another refresh of the group is in progress; none was started.
        ToolError: AWS refuses it, or does not answer.

    """
    given = cast("RefreshPreferencesTypeDef", {**preferences, "SkipMatching": False})
    with asked(f"a refresh of {group}"):
        try:
            answer = target.client("autoscaling").start_instance_refresh(
                AutoScalingGroupName=group, Strategy="Rolling", Preferences=given
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code != "InstanceRefreshInProgress":
                raise
            msg = f"a refresh of {group} is in progress"
            raise RefusedError(msg, "Wait until it ends: olrunbook status") from None
    return answer["InstanceRefreshId"]
