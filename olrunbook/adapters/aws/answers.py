"""How AWS's answers are read: errors, times, words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from olrunbook.adapters.aws.seen import HEALTHY, STATUS_OK, InstanceSeen, RefreshSeen
from olrunbook.errors import ToolError
from olrunbook.targets.account import UNREACHED

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import type_defs as asg
    from mypy_boto3_ec2 import type_defs as ec2
    from mypy_boto3_elbv2 import type_defs as elb

SERVER_ERROR = 500  # HTTP statuses from here on are the API's own fault

# `throttled`: too many calls. `expired`: the credentials are too old. `silent`: nobody
# answers, or not sensibly. `refused`: any other error.
Trouble = Literal["throttled", "expired", "silent", "refused"]

_THROTTLED = ("Throttl", "RequestLimitExceeded", "TooManyRequests", "SlowDown")
_EXPIRED = ("ExpiredToken", "RequestExpired")
_DENIED = ("AccessDenied", "UnauthorizedOperation")
_HINTS: dict[Trouble, str] = {
    "silent": "Is the target up? olrunbook doctor · olrunbook rehearsal status",
    "expired": "Log in again, then look: olrunbook doctor",
}
# botocore's own, where no call could be signed: by name, to import them is slow.
_UNSIGNED = ("Credential", "Token", "SSO")


class AwsError(ToolError):
    """AWS did not give the answer that was asked for."""

    def __init__(self, text: str, hint: str = "", trouble: Trouble = "refused") -> None:
        super().__init__(text, hint)
        self.trouble: Trouble = trouble


def _sort(code: str, status: int) -> Trouble:
    """Return what sort of trouble an answer is."""
    if any(word in code for word in _THROTTLED):
        return "throttled"
    if code.startswith(_EXPIRED):
        return "expired"
    return "silent" if status >= SERVER_ERROR else "refused"


@contextmanager
def asked(what: str) -> Iterator[None]:
    """Turn the client's errors into ours."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (heavy)

    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = said.get("Code", "")
        msg = f"AWS refused {what}: {code}: {said.get('Message')}"
        sort = _sort(code, status)
        hint = _HINTS.get(sort, "")
        if code.startswith(_DENIED):
            hint = "What should be allowed: olrunbook iam APP"
        raise AwsError(msg, hint, sort) from error
    except BotoCoreError as error:
        msg = f"AWS does not answer ({what}): {error}"
        unsigned = any(word in type(error).__name__ for word in _UNSIGNED)
        unsigned = unsigned and not re.search(UNREACHED, str(error))
        trouble: Trouble = "expired" if unsigned else "silent"
        raise AwsError(msg, _HINTS[trouble], trouble) from error


def tags_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Return a resource's tags as a mapping."""
    return {tag["Key"]: tag.get("Value", "") for tag in item.get("Tags", [])}


def utc(at: datetime | None) -> datetime | None:
    """Return the moment in UTC."""
    return at.astimezone(UTC) if at else None


def instance_seen(
    item: asg.InstanceTypeDef,
    machine: ec2.InstanceTypeDef,
    health: Sequence[Mapping[str, tuple[str, str]]],
) -> InstanceSeen:
    """Return an instance as its group, EC2 and the target groups describe it.

    Args:
        item: What the group says.
        machine: What EC2 says; empty: it is gone.
        health: Instance to state and reason, one for each who checks it.

    """
    # The worst of what is said of it; empty: nobody checks it.
    none = ("not registered", "")
    said = [states.get(item["InstanceId"], none) for states in health]
    good = said[0] if said else ("", "")
    worst, why = next((s for s in said if s[0] not in (HEALTHY, STATUS_OK)), good)
    return InstanceSeen(
        id=item["InstanceId"],
        image=machine.get("ImageId", ""),
        lifecycle=item["LifecycleState"],
        health=item["HealthStatus"].capitalize(),
        target_health=worst,
        reason=why,
        launched_at=utc(machine.get("LaunchTime")),
        template_version=item.get("LaunchTemplate", {}).get("Version", ""),
    )


def health_of(health: elb.TargetHealthTypeDef) -> tuple[str, str]:
    """Return a target's state, and why, in the load balancer's words."""
    why = [health.get("Reason", ""), health.get("Description", "")]
    return health["State"], ": ".join(filter(None, why))


def status_of(item: ec2.InstanceStatusTypeDef) -> tuple[str, str]:
    """Return an instance's state by EC2's two status checks, and why."""
    checks = {"instance": item["InstanceStatus"], "system": item["SystemStatus"]}
    for name, check in checks.items():
        if (status := check["Status"]) != "ok":
            details = [f"{d['Name']} {d['Status']}" for d in check.get("Details", [])]
            why = ", ".join([f"{name} status check: {status}", *details])
            word = "impaired" if status == "impaired" else "initializing"
            return f"status {word}", why
    return STATUS_OK, ""


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
