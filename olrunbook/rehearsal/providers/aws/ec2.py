"""Security groups."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from olrunbook.rehearsal.providers.aws.tags import (
    ec2_tags,
    seen_tags,
    tag_specification,
)
from olrunbook.rehearsal.providers.handler import AutoName, Caller, Handler
from olrunbook.rehearsal.providers.values import Props

ANY_PROTOCOL = "-1"
PERMISSIONS = {"ingress": "IpPermissions", "egress": "IpPermissionsEgress"}
Rule = tuple[str, int, int, str, str]  # protocol, from, to, kind of peer, peer


class SecurityGroup(Handler):
    """`aws:ec2/securityGroup:SecurityGroup`, rules inline."""

    inputs = (
        "description",
        "egress",
        "ingress",
        "name",
        "namePrefix",
        "revokeRulesOnDelete",
        "tags",
        "vpcId",
    )
    replace = ("name", "namePrefix", "description", "vpcId")
    unordered = ("egress", "ingress")
    computed = ("arn", "ownerId")
    autoname = AutoName(255)
    tagged = True

    @override
    def create(self, call: Caller, wanted: Props) -> str:
        made = call.api("ec2").create_security_group(
            GroupName=wanted["name"],
            Description=wanted.get("description") or "Managed by Pulumi",
            TagSpecifications=tag_specification(
                "security-group", wanted.get("tagsAll")
            ),
            **({"VpcId": wanted["vpcId"]} if wanted.get("vpcId") else {}),
        )
        return str(made["GroupId"])

    @override
    def complete(self, call: Caller, ident: str, wanted: Props) -> None:
        """Set the rules. As the real provider: no egress given means none at all."""
        for way in PERMISSIONS:
            _set_rules(call, ident, way, rules(wanted.get(way), ident))

    @override
    def read(self, call: Caller, ident: str, state: Props) -> Props | None:
        group = _group(call, ident)
        seen = {}
        for way, key in PERMISSIONS.items():
            actual = from_permissions(group.get(key, []))
            recorded = state.get(way)
            same = rules(recorded, ident) == actual
            seen[way] = recorded if same else as_inputs(actual)
        owner = group["OwnerId"]
        return {
            **state,
            **seen,
            "name": group["GroupName"],
            "ownerId": owner,
            "tags": seen_tags(call, state, group.get("Tags")),
            "arn": f"arn:aws:ec2:{call.region}:{owner}:security-group/{ident}",
        }

    @override
    def update(
        self, call: Caller, ident: str, old: Props, new: Props, changed: set[str]
    ) -> None:
        for way in PERMISSIONS:
            if way in changed:
                _set_rules(call, ident, way, rules(new.get(way), ident))
        if "tags" in changed:
            ec2_tags(call, ident, old.get("tags"), new.get("tagsAll"))

    @override
    def delete(self, call: Caller, ident: str, state: Props) -> None:
        call.api("ec2").delete_security_group(GroupId=ident)


def rules(given: list[Props] | None, own: str) -> set[Rule]:
    """Return inline rules one by one; `self` is the group's own id."""
    found: set[Rule] = set()
    for rule in given or []:
        protocol = str(rule.get("protocol") or ANY_PROTOCOL)
        protocol = ANY_PROTOCOL if protocol == "all" else protocol
        peers = [("cidr", peer) for peer in rule.get("cidrBlocks") or []]
        peers += [("cidr6", peer) for peer in rule.get("ipv6CidrBlocks") or []]
        peers += [("group", peer) for peer in rule.get("securityGroups") or []]
        if rule.get("self"):
            peers.append(("group", own))
        found |= _each(protocol, rule.get("fromPort"), rule.get("toPort"), peers)
    return found


def from_permissions(permissions: list[dict[str, Any]]) -> set[Rule]:
    """Return what the API lists one by one."""
    found: set[Rule] = set()
    for item in permissions:
        peers = [("cidr", peer["CidrIp"]) for peer in item.get("IpRanges", [])]
        peers += [("cidr6", peer["CidrIpv6"]) for peer in item.get("Ipv6Ranges", [])]
        peers += [
            ("group", peer["GroupId"]) for peer in item.get("UserIdGroupPairs", [])
        ]
        ports = item.get("FromPort"), item.get("ToPort")
        found |= _each(str(item["IpProtocol"]), *ports, peers)
    return found


def _each(
    protocol: str, low: Any, high: Any, peers: list[tuple[str, str]]
) -> set[Rule]:
    if protocol == ANY_PROTOCOL:
        low = high = 0
    ports = int(low or 0), int(high or 0)
    return {(protocol, *ports, kind, peer) for kind, peer in peers}


def as_inputs(found: set[Rule]) -> list[Props]:
    """Return rules in the shape of inputs, one peer each, for showing drift."""
    names = {"cidr": "cidrBlocks", "cidr6": "ipv6CidrBlocks", "group": "securityGroups"}
    return [
        {"protocol": protocol, "fromPort": low, "toPort": high, names[kind]: [peer]}
        for protocol, low, high, kind, peer in sorted(found)
    ]


def _permission(rule: Rule) -> dict[str, Any]:
    protocol, low, high, kind, peer = rule
    item: dict[str, Any] = {"IpProtocol": protocol}
    if protocol != ANY_PROTOCOL:
        item |= {"FromPort": low, "ToPort": high}
    if kind == "cidr":
        item["IpRanges"] = [{"CidrIp": peer}]
    elif kind == "cidr6":
        item["Ipv6Ranges"] = [{"CidrIpv6": peer}]
    else:
        item["UserIdGroupPairs"] = [{"GroupId": peer}]
    return item


def _group(call: Caller, ident: str) -> dict[str, Any]:
    found = call.api("ec2").describe_security_groups(GroupIds=[ident])
    group: dict[str, Any] = found["SecurityGroups"][0]
    return group


def _set_rules(call: Caller, ident: str, way: str, wanted: set[Rule]) -> None:
    ec2 = call.api("ec2")
    have = from_permissions(_group(call, ident).get(PERMISSIONS[way], []))
    for rule in sorted(have - wanted):
        revoke = getattr(ec2, f"revoke_security_group_{way}")
        revoke(GroupId=ident, IpPermissions=[_permission(rule)])
    for rule in sorted(wanted - have):
        authorize = getattr(ec2, f"authorize_security_group_{way}")
        authorize(GroupId=ident, IpPermissions=[_permission(rule)])


RESOURCES: dict[str, Handler] = {"aws:ec2/securityGroup:SecurityGroup": SecurityGroup()}
