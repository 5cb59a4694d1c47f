"""A fleet: a launch template and an Auto Scaling group, maybe behind a balancer."""

from __future__ import annotations

import pulumi_aws as aws

PORT = 8080


def newest(name: str, pinned: str | None = None) -> str:
    """Return the image that is pinned, else the newest of a name."""
    filters = [aws.ec2.GetAmiFilterArgs(name="name", values=[name])]
    if pinned:
        filters.append(aws.ec2.GetAmiFilterArgs(name="image-id", values=[pinned]))
    return aws.ec2.get_ami(owners=["self"], most_recent=True, filters=filters).id


def fleet(name: str, image: str, size: int, *, balanced: bool) -> None:
    """Have a group of machines, with a name of its own."""
    vpc = aws.ec2.get_vpc(
        filters=[aws.ec2.GetVpcFilterArgs(name="tag:Name", values=["applications_vpc"])]
    )
    found = aws.ec2.get_subnets(
        filters=[
            aws.ec2.GetSubnetsFilterArgs(name="vpc-id", values=[vpc.id]),
            aws.ec2.GetSubnetsFilterArgs(
                name="tag:Environment", values=["operations-ci"]
            ),
        ]
    )
    subnets = sorted(found.ids)
    tags = {"Name": name, "OU": "harbor"}
    inside = aws.ec2.SecurityGroup(
        f"{name}-inside",
        description="HTTP to the machines",
        vpc_id=vpc.id,
        ingress=[
            aws.ec2.SecurityGroupIngressArgs(
                protocol="tcp", from_port=PORT, to_port=PORT, cidr_blocks=["10.0.0.0/8"]
            )
        ],
        tags=tags,
    )
    template = aws.ec2.LaunchTemplate(
        f"{name}-template",
        name_prefix=f"{name}-",
        image_id=image,
        instance_type="t3a.medium",
        vpc_security_group_ids=[inside.id],
        tags=tags,
    )
    target = _balancer(name, vpc.id, subnets, inside, tags) if balanced else None
    aws.autoscaling.Group(
        f"{name}-group",
        desired_capacity=size,
        max_size=size + 1,
        min_size=1,
        health_check_type="ELB" if target else "EC2",
        instance_refresh=aws.autoscaling.GroupInstanceRefreshArgs(
            strategy="Rolling",
            triggers=["tag"],
            preferences=aws.autoscaling.GroupInstanceRefreshPreferencesArgs(
                min_healthy_percentage=50
            ),
        ),
        launch_template=aws.autoscaling.GroupLaunchTemplateArgs(
            id=template.id, version="$Latest"
        ),
        tags=[
            aws.autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=True)
            for key, value in {**(tags if target else {}), "ami_id": image}.items()
        ],
        target_group_arns=[target.arn] if target else None,
        vpc_zone_identifiers=subnets,
    )


def _balancer(
    name: str,
    vpc: str,
    subnets: list[str],
    inside: aws.ec2.SecurityGroup,
    tags: dict[str, str],
) -> aws.lb.TargetGroup:
    forward = aws.lb.ListenerDefaultActionArgs
    target = aws.lb.TargetGroup(
        f"{name}-targets",
        vpc_id=vpc,
        port=PORT,
        protocol="HTTP",
        health_check=aws.lb.TargetGroupHealthCheckArgs(
            path="/", port=str(PORT), protocol="HTTP", interval=5, timeout=2
        ),
        tags=tags,
    )
    balancer = aws.lb.LoadBalancer(
        f"{name}-balancer",
        load_balancer_type="application",
        security_groups=[inside.id],
        subnets=subnets,
        tags=tags,
    )
    aws.lb.Listener(
        f"{name}-listener",
        load_balancer_arn=balancer.arn,
        port=80,
        protocol="HTTP",
        default_actions=[forward(type="forward", target_group_arn=target.arn)],
    )
    return target
