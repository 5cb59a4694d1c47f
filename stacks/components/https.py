"""A web group behind HTTPS: who reaches it, its load balancer, its name."""

from __future__ import annotations

from typing import Any

from pulumi_aws import ec2, lb, route53

from components.auto_scaling_config import OLLoadBalancerConfig, OLTargetGroupConfig
from components.network import Network

__all__ = ["EVERYWHERE", "behind_https", "name_in_dns"]

HTTPS_PORT = 443
EVERYWHERE = ec2.SecurityGroupEgressArgs(
    protocol="-1",
    from_port=0,
    to_port=0,
    cidr_blocks=["0.0.0.0/0"],
    ipv6_cidr_blocks=["::/0"],
)


def behind_https(
    balancer: str,
    servers: str,
    *,
    network: Network,
    health_check_path: str,
    tags: dict[str, str],
    plural: str = "instances",
) -> tuple[ec2.SecurityGroup, dict[str, Any]]:
    """Let the world reach a load balancer, and the load balancer the servers.

    Args:
        balancer: Name of the load balancer's security group.
        servers: Name of the servers' security group.
        network: Where they are.
        health_check_path: What a server that serves answers.
        tags: Tags of all of it.
        plural: What the servers are called.

    Returns:
        The servers' security group, and what `OLAutoScaling` is given besides group
        and template.

    """
    world = ec2.SecurityGroupIngressArgs(
        protocol="tcp",
        from_port=HTTPS_PORT,
        to_port=HTTPS_PORT,
        cidr_blocks=["0.0.0.0/0"],
        ipv6_cidr_blocks=["::/0"],
    )
    outer = ec2.SecurityGroup(
        balancer,
        description="HTTPS from anywhere to the load balancer",
        vpc_id=network.vpc_id,
        ingress=[world],
        egress=[EVERYWHERE],
        tags=tags,
    )
    from_balancer = ec2.SecurityGroupIngressArgs(
        protocol="tcp",
        from_port=HTTPS_PORT,
        to_port=HTTPS_PORT,
        security_groups=[outer.id],
    )
    inner = ec2.SecurityGroup(
        servers,
        description=f"HTTPS from the load balancer to the {plural}",
        vpc_id=network.vpc_id,
        ingress=[from_balancer],
        egress=[EVERYWHERE],
        tags=tags,
    )
    return inner, {
        "tg_config": OLTargetGroupConfig(
            vpc_id=network.vpc_id, health_check_path=health_check_path, tags=tags
        ),
        "lb_config": OLLoadBalancerConfig(
            security_groups=[outer.id], subnets=network.subnet_ids, tags=tags
        ),
    }


def name_in_dns(resource: str, domain: str, balancer: lb.LoadBalancer) -> None:
    """Point a domain at a load balancer, in the zone above it."""
    zone = route53.get_zone(name=domain.partition(".")[2])
    route53.Record(
        resource,
        name=domain,
        type="CNAME",
        ttl=60,
        zone_id=zone.zone_id,
        records=[balancer.dns_name],
    )
