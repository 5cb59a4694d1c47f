"""The hello page: what one stage deploys.

Made from `stacks/tika` by copying the folder and leaving out what a page does not need.
`components` is the one shipped with olrunbook, which lays it beside this folder; to run
`pulumi up` here yourself, copy `stacks/components` beside it first.

Config: `hello:auto_scale`, `hello:business_unit`, `hello:target_vpc`,
`hello:web_host_domain`, and `hello:image_id`, which pins the image.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pulumi
import pulumi_aws as aws
from components.auto_scaling import (
    BlockDeviceMapping,
    OLAutoScaleGroupConfig,
    OLAutoScaling,
    OLLaunchTemplateConfig,
    OLLoadBalancerConfig,
    OLTargetGroupConfig,
    TagSpecification,
)
from components.aws_base import AWSBase
from components.images import find_image
from components.network import find_network
from components.stack_info import parse_stack

APP = "hello-web"
HTTPS_PORT = 443

config = pulumi.Config("hello")
stack = parse_stack()
network = find_network(config.get("target_vpc") or "applications_vpc")
domain = config.require("web_host_domain")
sizes = config.get_object("auto_scale") or {"desired": 1, "max": 2, "min": 1}
base = AWSBase(
    tags={
        "OU": config.get("business_unit") or "operations",
        "Environment": stack.env_name,
        "Name": f"{APP}-{stack.env_name}",
    }
)

image = find_image(f"{APP}-*", "self", config.get("image_id"), root_device_type="ebs")

role = aws.iam.Role(
    f"{APP}-instance-role",
    assume_role_policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "ec2.amazonaws.com"},
            },
        }
    ),
    tags=base.tags,
)
profile = aws.iam.InstanceProfile(
    f"{APP}-instance-profile-{stack.env_name}", role=role.name, tags=base.tags
)
web_group = aws.ec2.SecurityGroup(
    f"{APP}-security-group-{stack.env_name}",
    description="HTTPS from anywhere",
    vpc_id=network.vpc_id,
    ingress=[
        aws.ec2.SecurityGroupIngressArgs(
            protocol="tcp",
            from_port=HTTPS_PORT,
            to_port=HTTPS_PORT,
            cidr_blocks=["0.0.0.0/0"],
            ipv6_cidr_blocks=["::/0"],
        )
    ],
    egress=[
        aws.ec2.SecurityGroupEgressArgs(
            protocol="-1",
            from_port=0,
            to_port=0,
            cidr_blocks=["0.0.0.0/0"],
            ipv6_cidr_blocks=["::/0"],
        )
    ],
    tags=base.tags,
)

auto_scaling = OLAutoScaling(
    asg_config=OLAutoScaleGroupConfig(
        asg_name=f"{APP}-{stack.env_name}",
        desired_size=sizes["desired"],
        max_size=sizes["max"],
        min_size=sizes["min"],
        vpc_zone_identifiers=network.subnet_ids,
        tags=base.tags,
    ),
    lt_config=OLLaunchTemplateConfig(
        block_device_mappings=[BlockDeviceMapping()],
        image_id=image.id,
        instance_profile_arn=profile.arn,
        security_groups=[web_group.id],
        tag_specifications=[
            TagSpecification(resource_type=kind, tags=base.tags)
            for kind in ("instance", "volume")
        ],
        tags=base.tags,
    ),
    tg_config=OLTargetGroupConfig(
        vpc_id=network.vpc_id, health_check_path="/healthz", tags=base.tags
    ),
    lb_config=OLLoadBalancerConfig(
        security_groups=[web_group.id], subnets=network.subnet_ids, tags=base.tags
    ),
)
assert auto_scaling.load_balancer

zone = aws.route53.get_zone(name=domain.partition(".")[2])
aws.route53.Record(
    f"{APP}-dns-record",
    name=domain,
    type="CNAME",
    ttl=60,
    zone_id=zone.zone_id,
    records=[auto_scaling.load_balancer.dns_name],
)

pulumi.export("auto_scale_group", auto_scaling.auto_scale_group.name)
pulumi.export("load_balancer_dns_name", auto_scaling.load_balancer.dns_name)
pulumi.export("url", f"https://{domain}")
pulumi.export("image_id", image.id)
