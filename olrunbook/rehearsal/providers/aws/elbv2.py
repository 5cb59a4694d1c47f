"""Load balancers, listeners, target groups and their health checks."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from olrunbook.rehearsal.providers.aws import tags
from olrunbook.rehearsal.providers.handler import AutoName, Caller, Handler
from olrunbook.rehearsal.providers.values import Props, api, keep_form

BALANCER_ATTRIBUTES = {
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
    "enableHttp2": "routing.http2.enabled",
    "idleTimeout": "idle_timeout.timeout_seconds",
}
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
GROUP_ATTRIBUTES = {
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "slowStart": "slow_start.duration_seconds",
}


class LoadBalancer(Handler):
    """`aws:lb/loadBalancer:LoadBalancer`, application load balancers."""

    inputs = (
        *BALANCER_ATTRIBUTES,
        "internal",
        "ipAddressType",
        "loadBalancerType",
        "name",
        "namePrefix",
        "securityGroups",
        "subnets",
        "tags",
    )
    replace = ("name", "namePrefix", "internal", "loadBalancerType")
    unordered = ("securityGroups", "subnets")
    computed = ("arn", "arnSuffix", "dnsName", "zoneId", "vpcId")
    autoname = AutoName(32)
    tagged = True

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        made = call.api("elbv2").create_load_balancer(
            Name=wanted["name"],
            Subnets=wanted.get("subnets") or [],
            SecurityGroups=wanted.get("securityGroups") or [],
            Scheme="internal" if wanted.get("internal") else "internet-facing",
            Type=wanted.get("loadBalancerType") or "application",
            IpAddressType=wanted.get("ipAddressType") or "ipv4",
            **tags.tags_argument(wanted.get("tagsAll")),
        )
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    @override
    def complete(self, call: Caller, ident: str, wanted: Props) -> None:
        if found := _attributes(wanted, BALANCER_ATTRIBUTES):
            call.api("elbv2").modify_load_balancer_attributes(
                LoadBalancerArn=ident, Attributes=found
            )

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        elb = call.api("elbv2")
        found = elb.describe_load_balancers(LoadBalancerArns=[ident])
        balancer = found["LoadBalancers"][0]
        subnets = [
            zone.get("SubnetId") for zone in balancer.get("AvailabilityZones", [])
        ]
        attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=ident)
        return {
            **state,
            **_seen_attributes(attributes, BALANCER_ATTRIBUTES, state),
            "securityGroups": keep_form(
                state.get("securityGroups"),
                balancer.get("SecurityGroups"),
                unordered=True,
            ),
            "subnets": keep_form(state.get("subnets"), subnets, unordered=True),
            "tags": _seen_tags(call, ident, state),
            "name": balancer["LoadBalancerName"],
            "arn": ident,
            "arnSuffix": ident.rsplit(":loadbalancer/", maxsplit=1)[-1],
            "dnsName": balancer["DNSName"],
            "zoneId": balancer["CanonicalHostedZoneId"],
            "vpcId": balancer["VpcId"],
        }

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        elb = call.api("elbv2")
        if "securityGroups" in changed:
            elb.set_security_groups(
                LoadBalancerArn=ident, SecurityGroups=new.get("securityGroups") or []
            )
        if "subnets" in changed:
            elb.set_subnets(LoadBalancerArn=ident, Subnets=new.get("subnets") or [])
        if "ipAddressType" in changed:
            kind = new.get("ipAddressType") or "ipv4"
            elb.set_ip_address_type(LoadBalancerArn=ident, IpAddressType=kind)
        if changed & set(BALANCER_ATTRIBUTES):
            self.complete(call, ident, new)
        if "tags" in changed:
            _retag(call, ident, old.get("tags"), new.get("tagsAll"))

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("elbv2").delete_load_balancer(LoadBalancerArn=ident)


class Listener(Handler):
    """`aws:lb/listener:Listener` with forward, redirect and fixed-response actions."""

    inputs = (
        "certificateArn",
        "defaultActions",
        "loadBalancerArn",
        "port",
        "protocol",
        "sslPolicy",
        "tags",
    )
    replace = ("loadBalancerArn",)
    computed = ("arn",)
    tagged = True

    def arguments(self, wanted: Props) -> Props:
        """Return what creation and update have in common."""
        actions = []
        for action in wanted["defaultActions"]:
            item = api(action)
            for kind in ("Redirect", "FixedResponse"):
                if config := item.pop(kind, None):
                    item[f"{kind}Config"] = config
                    for name in {"Port", "StatusCode"} & set(config):
                        config[name] = str(config[name])
            actions.append(item)
        args: Props = {
            "Port": int(wanted.get("port") or 80),
            "Protocol": wanted.get("protocol") or "HTTP",
            "DefaultActions": actions,
        }
        if wanted.get("certificateArn"):
            args["Certificates"] = [{"CertificateArn": wanted["certificateArn"]}]
        if wanted.get("sslPolicy"):
            args["SslPolicy"] = wanted["sslPolicy"]
        return args

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        made = call.api("elbv2").create_listener(
            LoadBalancerArn=wanted["loadBalancerArn"],
            **tags.tags_argument(wanted.get("tagsAll")),
            **self.arguments(wanted),
        )
        return str(made["Listeners"][0]["ListenerArn"])

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        found = call.api("elbv2").describe_listeners(ListenerArns=[ident])
        listener = found["Listeners"][0]
        certificates = listener.get("Certificates") or [{}]
        return {
            **state,
            "port": keep_form(state.get("port"), listener.get("Port")),
            "protocol": keep_form(state.get("protocol"), listener.get("Protocol")),
            "certificateArn": keep_form(
                state.get("certificateArn"), certificates[0].get("CertificateArn")
            ),
            "arn": ident,
        }

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        if changed - {"tags"}:
            call.api("elbv2").modify_listener(ListenerArn=ident, **self.arguments(new))
        if "tags" in changed:
            _retag(call, ident, old.get("tags"), new.get("tagsAll"))

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("elbv2").delete_listener(ListenerArn=ident)


class TargetGroup(Handler):
    """`aws:lb/targetGroup:TargetGroup`."""

    inputs = (
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
    )
    replace = (
        "name",
        "namePrefix",
        "port",
        "protocol",
        "protocolVersion",
        "targetType",
        "vpcId",
    )
    computed = ("arn", "arnSuffix")
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
        found = _attributes(wanted, GROUP_ATTRIBUTES)
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
            **tags.tags_argument(wanted.get("tagsAll")),
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
        found = elb.describe_target_groups(TargetGroupArns=[ident])
        group = found["TargetGroups"][0]
        recorded = state.get("healthCheck") or {}
        check = {
            key: keep_form(value, group.get(HEALTH[key])) if key in HEALTH else value
            for key, value in recorded.items()
        }
        if "matcher" in recorded:
            actual = (group.get("Matcher") or {}).get("HttpCode")
            check["matcher"] = keep_form(recorded["matcher"], actual)
        attributes = elb.describe_target_group_attributes(TargetGroupArn=ident)
        return {
            **state,
            **_seen_attributes(attributes, GROUP_ATTRIBUTES, state),
            **({"healthCheck": check} if recorded else {}),
            "tags": _seen_tags(call, ident, state),
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
            _retag(call, ident, old.get("tags"), new.get("tagsAll"))

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("elbv2").delete_target_group(TargetGroupArn=ident)


def _retag(call: Caller, ident: str, old: Props | None, new: Props | None) -> None:
    """Make the tags what they should be, removal included."""
    elb = call.api("elbv2")
    if gone := sorted(set(old or {}) - set(new or {})):
        elb.remove_tags(ResourceArns=[ident], TagKeys=gone)
    if new:
        elb.add_tags(ResourceArns=[ident], Tags=tags.listed(new))


def _seen_tags(call: Caller, ident: str, state: Props) -> Any:
    """Return the tags as they are, in the recorded form where equal."""
    found = call.api("elbv2").describe_tags(ResourceArns=[ident])["TagDescriptions"]
    return tags.seen_tags(call, state, found[0]["Tags"] if found else None)


def _attributes(wanted: Props, names: dict[str, str]) -> list[dict[str, str]]:
    """Return properties as the attributes of the API."""
    return [
        {"Key": names[key], "Value": str(wanted[key]).lower()}
        for key in names
        if wanted.get(key) is not None
    ]


def _seen_attributes(found: Props, names: dict[str, str], state: Props) -> Props:
    """Return attributes of the API as properties, in the recorded form where equal."""
    values = {item["Key"]: item["Value"] for item in found["Attributes"]}
    return {
        key: keep_form(state[key], values[name])
        for key, name in names.items()
        if name in values and key in state
    }


RESOURCES: dict[str, Handler] = {
    f"aws:{module}/{token}": handler
    for module in ("lb", "alb")
    for token, handler in (
        ("targetGroup:TargetGroup", TargetGroup()),
        ("loadBalancer:LoadBalancer", LoadBalancer()),
        ("listener:Listener", Listener()),
    )
}
