"""Look up the network an application is put into."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi_aws import ec2

__all__ = ["Network", "find_network"]


@dataclass(frozen=True, slots=True)
class Network:
    """A VPC and its subnets, one for each availability zone."""

    vpc_id: str
    subnet_ids: list[str]


def find_network(vpc_name: str) -> Network:
    """Return the VPC whose tag `Name` is this, with one subnet for each zone.

    A load balancer takes one subnet of a zone only.
    """
    vpc = ec2.get_vpc(
        filters=[ec2.GetVpcFilterArgs(name="tag:Name", values=[vpc_name])]
    )
    found = ec2.get_subnets(
        filters=[ec2.GetSubnetsFilterArgs(name="vpc-id", values=[vpc.id])]
    )
    zones: dict[str, str] = {}
    for ident in sorted(found.ids):
        zones.setdefault(ec2.get_subnet(id=ident).availability_zone, ident)
    return Network(vpc.id, sorted(zones.values()))
