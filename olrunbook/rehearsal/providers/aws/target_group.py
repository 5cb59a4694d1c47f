"""Target groups and their health checks."""

from __future__ import annotations

from typing_extensions import override

from olrunbook.rehearsal.providers.aws.elbv2_common import (
    attributes,
    read_attributes,
    retag,
    seen_tags,
)
from olrunbook.rehearsal.providers.aws.tags import tags_argument
from olrunbook.rehearsal.providers.handler import AutoName, Caller, Handler
from olrunbook.rehearsal.providers.values import Props, api, keep_form

HEALTH = {
    "enabled": "HealthCheckEnabled",
    "healthyThreshold": "HealthyThresholdCount",
    "interval": "HealthCheckIntervalSeconds",
    "path": "HealthCheckPath",
    "port": "HealthCheckPort",
    "protocol": "HealthCheckProtocol",
    "timeout": "HealthCheckTimeoutSeconds",
    "unhealthyThreshold": "UnhealthyThresholdCount",
}
GROUP_ATTRIBUTES = {"deregistrationDelay": "deregistration_delay.timeout_seconds"}
GROUP_ATTRIBUTES |= {"slowStart": "slow_start.duration_seconds"}


class TargetGroup(Handler):
    """`aws:lb/targetGroup:TargetGroup`."""

    inputs = frozenset(
        {
            *GROUP_ATTRIBUTES,
            "healthCheck",
            "name",
            "namePrefix",
            "port",
            "protocol",
            "protocolVersion",
            "stickiness",
            "tags",
            "targetType",
            "vpcId",
        }
    )
    replace = frozenset(
        {
            "name",
            "namePrefix",
            "port",
            "protocol",
            "protocolVersion",
            "targetType",
            "vpcId",
        }
    )
    computed = ("arn", "arnSuffix", "name", "tagsAll")
    autoname = AutoName(32)
    tagged = True

    def health(self, wanted: Props) -> Props:
        """Return the health check's arguments."""
        check = wanted.get("healthCheck") or {}
        args = {
            HEALTH[key]: api(value)
            for key, value in check.items()
            if key in HEALTH and value is not None
        }
        if "HealthCheckPort" in args:
            args["HealthCheckPort"] = str(args["HealthCheckPort"])
        if check.get("matcher"):
            args["Matcher"] = {"HttpCode": str(check["matcher"])}
        return args

    def attributes(self, wanted: Props) -> list[dict[str, str]]:
        """Return the attributes, stickiness included."""
        found = attributes(wanted, GROUP_ATTRIBUTES)
        if stick := wanted.get("stickiness"):
            enabled = stick.get("enabled", True)
            found.append({"Key": "stickiness.enabled", "Value": str(enabled).lower()})
            found.append({"Key": "stickiness.type", "Value": stick["type"]})
        return found

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        made = call.api("elbv2").create_target_group(
            Name=wanted["name"],
            Protocol=wanted["protocol"],
            Port=int(wanted["port"]),
            VpcId=wanted["vpcId"],
            TargetType=wanted.get("targetType") or "instance",
            **tags_argument(wanted.get("tagsAll")),
            **({"ProtocolVersion": v} if (v := wanted.get("protocolVersion")) else {}),
            **self.health(wanted),
        )
        return str(made["TargetGroups"][0]["TargetGroupArn"])

    @override
    def complete(self, call: Caller, ident: str, wanted: Props) -> None:
        if found := self.attributes(wanted):
            call.api("elbv2").modify_target_group_attributes(
                TargetGroupArn=ident, Attributes=found
            )

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        elb = call.api("elbv2")
        groups = elb.describe_target_groups(TargetGroupArns=[ident])["TargetGroups"]
        if not groups:
            return None
        group = groups[0]
        recorded = state.get("healthCheck") or {}
        check = {
            key: keep_form(value, group.get(HEALTH[key])) if key in HEALTH else value
            for key, value in recorded.items()
        }
        if "matcher" in recorded:
            actual = (group.get("Matcher") or {}).get("HttpCode")
            check["matcher"] = keep_form(recorded["matcher"], actual)
        found = elb.describe_target_group_attributes(TargetGroupArn=ident)["Attributes"]
        seen = {
            key: keep_form(state[key], actual)
            for key, actual in read_attributes(found, GROUP_ATTRIBUTES).items()
            if key in state
        }
        return {
            **state,
            **seen,
            **({"healthCheck": check} if recorded else {}),
            "tags": seen_tags(call, ident, state),
            "name": group["TargetGroupName"],
            "arn": ident,
            "arnSuffix": ident.rsplit(":", maxsplit=1)[-1],
        }

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        if "healthCheck" in changed:
            call.api("elbv2").modify_target_group(
                TargetGroupArn=ident, **self.health(new)
            )
        if changed & {*GROUP_ATTRIBUTES, "stickiness"}:
            self.complete(call, ident, new)
        if "tags" in changed:
            retag(call, ident, old.get("tags"), new.get("tagsAll"))

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("elbv2").delete_target_group(TargetGroupArn=ident)
