"""Concourse: what one stage deploys, a group of webs and groups of workers.

Config: `concourse:web_auto_scale`, `concourse:web_instance_type`,
`concourse:web_host_domain`, `concourse:workers` (a list of groups: `name`,
`auto_scale`, `instance_type`), `concourse:business_unit`, `concourse:target_vpc`, the
secrets `concourse:worker_key` and `concourse:api_token`, and `concourse:web_image_id`
and `concourse:worker_image_id`, which pin the images; without them the newest own ones
are taken.
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pulumi
import pulumi_aws as aws
from components.auto_scaling import (
    BlockDeviceMapping,
    OLAutoScaleGroupConfig,
    OLAutoScaling,
    OLLaunchTemplateConfig,
    TagSpecification,
)
from components.aws_base import AWSBase
from components.cloud_config import WriteFile, user_data
from components.https import EVERYWHERE, behind_https, name_in_dns
from components.images import find_image
from components.network import find_network
from components.stack_info import parse_stack

APP = "concourse"
TSA_PORT, GOSSIP_PORT = 2222, 8301
ONE = {"desired": 1, "max": 2, "min": 1}

config = pulumi.Config(APP)
stack = parse_stack()
network = find_network(config.get("target_vpc") or "applications_vpc")
domain = config.require("web_host_domain")
shared = AWSBase(
    tags={
        "OU": config.get("business_unit") or "operations",
        "Environment": f"operations-{stack.env_suffix}",
    }
)


# The newest of our own that are not revoked, unless they are pinned.
images = {
    node_type: find_image(
        f"{APP}-{node_type}-*",
        "self",
        config.get(f"{node_type}_image_id"),
        root_device_type="ebs",
    ).id
    for node_type in ("web", "worker")
}

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
    tags=shared.tags,
)
profile = aws.iam.InstanceProfile(
    f"{APP}-instance-profile-{stack.env_suffix}", role=role.name, tags=shared.tags
)

# Who reaches what: the world the load balancer, that the webs, and web and workers
# one another. By the tag Name all of it is found where an update was cut off.
web_name = f"{APP}-web-{stack.env_suffix}"
named = shared.merged_tags({"Name": web_name})
web_group, https = behind_https(
    f"{APP}-load-balancer-security-group-{stack.env_suffix}",
    f"{APP}-web-security-group-{stack.env_suffix}",
    network=network,
    health_check_path="/api/v1/info",
    tags=named,
    plural="webs",
)
member_group = aws.ec2.SecurityGroup(
    f"{APP}-member-security-group-{stack.env_suffix}",
    description="What webs and workers say to one another",
    vpc_id=network.vpc_id,
    ingress=[
        aws.ec2.SecurityGroupIngressArgs(
            protocol=protocol, from_port=port, to_port=port, self=True
        )
        for protocol, port in (("tcp", TSA_PORT), ("udp", GOSSIP_PORT))
    ],
    egress=[EVERYWHERE],
    tags=named,
)


def first_boot(**more: Any) -> pulumi.Output[str]:
    """Return the user data: what differs by stage and group, for root alone."""
    said = {"environment": f"{APP}-{stack.env_suffix}", **more}
    return pulumi.Output.all(
        worker_key=config.require_secret("worker_key"), **said
    ).apply(
        lambda values: user_data(
            [
                WriteFile(
                    path="/etc/concourse/stage.json",
                    content=json.dumps(values),
                    permissions="0600",
                )
            ]
        )
    )


def group_and_template(
    name: str,
    kind: str,
    *,
    sizes: dict[str, int],
    instance_type: str,
    security_groups: list[Any],
    boot: pulumi.Output[str],
) -> dict[str, Any]:
    """Return the configuration of a group `concourse-NAME`, which is of one kind."""
    node_type = kind.partition("-")[0]
    tags = shared.merged_tags({"Name": name, "concourse_type": kind})
    return {
        "asg_config": OLAutoScaleGroupConfig(
            asg_name=name,
            desired_size=sizes["desired"],
            max_size=sizes["max"],
            min_size=sizes["min"],
            health_check_type="ELB" if node_type == "web" else "EC2",
            vpc_zone_identifiers=network.subnet_ids,
            tags=tags,
        ),
        "lt_config": OLLaunchTemplateConfig(
            block_device_mappings=[BlockDeviceMapping()],
            image_id=images[node_type],
            instance_profile_arn=profile.arn,
            instance_type=instance_type,
            security_groups=security_groups,
            tag_specifications=[
                TagSpecification(resource_type=resource, tags=tags)
                for resource in ("instance", "volume")
            ],
            user_data=boot,
            tags=tags,
        ),
    }


web = OLAutoScaling(
    **group_and_template(
        web_name,
        "web",
        sizes=config.get_object("web_auto_scale") or ONE,
        instance_type=config.get("web_instance_type") or "t3a.medium",
        security_groups=[web_group.id, member_group.id],
        boot=first_boot(api_token=config.require_secret("api_token")),
    ),
    **https,
)
assert web.load_balancer

workers = {
    worker["name"]: OLAutoScaling(
        **group_and_template(
            f"{APP}-worker-{stack.env_suffix}-{worker['name']}",
            f"worker-{worker['name']}",
            sizes=worker.get("auto_scale") or ONE,
            instance_type=worker.get("instance_type") or "t3a.medium",
            security_groups=[member_group.id],
            boot=first_boot(tag=worker["name"]),
        )
    )
    for worker in config.require_object("workers")
}

name_in_dns(f"{APP}-dns-record", domain, web.load_balancer)

pulumi.export("web_auto_scale_group", web.auto_scale_group.name)
pulumi.export(
    "worker_auto_scale_groups",
    {name: group.auto_scale_group.name for name, group in workers.items()},
)
pulumi.export("load_balancer_dns_name", web.load_balancer.dns_name)
pulumi.export("url", f"https://{domain}")
pulumi.export("image_ids", images)
