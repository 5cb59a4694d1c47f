"""Load balancers and listeners."""

from __future__ import annotations

from typing_extensions import override

from olrunbook.rehearsal.providers.aws.elbv2_common import (
    attributes,
    read_attributes,
    retag,
    seen_tags,
)
from olrunbook.rehearsal.providers.aws.tags import tags_argument
from olrunbook.rehearsal.providers.aws.target_group import TargetGroup
from olrunbook.rehearsal.providers.handler import AutoName, Caller, Handler
from olrunbook.rehearsal.providers.values import Props, api, keep_form

BALANCER_ATTRIBUTES = {
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
    "enableHttp2": "routing.http2.enabled",
    "idleTimeout": "idle_timeout.timeout_seconds",
}


class LoadBalancer(Handler):
    """`aws:lb/loadBalancer:LoadBalancer`, application load balancers."""

    inputs = frozenset(
        {
            *BALANCER_ATTRIBUTES,
            "internal",
            "ipAddressType",
            "loadBalancerType",
            "name",
            "namePrefix",
            "securityGroups",
            "subnets",
            "tags",
        }
    )
    replace = frozenset({"name", "namePrefix", "internal", "loadBalancerType"})
    unordered = frozenset({"securityGroups", "subnets"})
    computed = ("arn", "arnSuffix", "name", "dnsName", "zoneId", "vpcId", "tagsAll")
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
            **tags_argument(wanted.get("tagsAll")),
        )
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    @override
    def complete(self, call: Caller, ident: str, wanted: Props) -> None:
        if found := attributes(wanted, BALANCER_ATTRIBUTES):
            call.api("elbv2").modify_load_balancer_attributes(
                LoadBalancerArn=ident, Attributes=found
            )

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        elb = call.api("elbv2")
        found = elb.describe_load_balancers(LoadBalancerArns=[ident])["LoadBalancers"]
        if not found:
            return None
        balancer = found[0]
        subnets = [
            zone.get("SubnetId") for zone in balancer.get("AvailabilityZones", [])
        ]
        attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=ident)
        seen = {
            key: keep_form(state[key], actual)
            for key, actual in read_attributes(
                attributes["Attributes"], BALANCER_ATTRIBUTES
            ).items()
            if key in state
        }
        return {
            **state,
            **seen,
            "securityGroups": keep_form(
                state.get("securityGroups"),
                balancer.get("SecurityGroups"),
                unordered=True,
            ),
            "subnets": keep_form(state.get("subnets"), subnets, unordered=True),
            "tags": seen_tags(call, ident, state),
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
            retag(call, ident, old.get("tags"), new.get("tagsAll"))

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("elbv2").delete_load_balancer(LoadBalancerArn=ident)


class Listener(Handler):
    """`aws:lb/listener:Listener` with forward, redirect and fixed-response actions."""

    inputs = frozenset(
        {
            "certificateArn",
            "defaultActions",
            "loadBalancerArn",
            "port",
            "protocol",
            "sslPolicy",
            "tags",
        }
    )
    replace = frozenset({"loadBalancerArn"})
    computed = ("arn", "tagsAll")
    tagged = True

    def arguments(self, wanted: Props) -> Props:
        """Return what creation and update have in common."""
        actions = []
        for action in wanted["defaultActions"]:
            item = api(action)
            if "RedirectConfig" not in item and "Redirect" in item:
                item["RedirectConfig"] = item.pop("Redirect")
            if "FixedResponse" in item:
                item["FixedResponseConfig"] = item.pop("FixedResponse")
            for config in ("RedirectConfig", "FixedResponseConfig"):
                for name in ("Port", "StatusCode"):
                    if name in item.get(config, {}):
                        item[config][name] = str(item[config][name])
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
            **tags_argument(wanted.get("tagsAll")),
            **self.arguments(wanted),
        )
        return str(made["Listeners"][0]["ListenerArn"])

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        found = call.api("elbv2").describe_listeners(ListenerArns=[ident])["Listeners"]
        if not found:
            return None
        listener = found[0]
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
            retag(call, ident, old.get("tags"), new.get("tagsAll"))

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("elbv2").delete_listener(ListenerArn=ident)


RESOURCES: dict[str, Handler] = {
    f"aws:{module}/{token}": handler
    for module in ("lb", "alb")
    for token, handler in (
        ("targetGroup:TargetGroup", TargetGroup()),
        ("loadBalancer:LoadBalancer", LoadBalancer()),
        ("listener:Listener", Listener()),
    )
}
