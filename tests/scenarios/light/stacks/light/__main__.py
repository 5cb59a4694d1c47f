"""Groups of light instances, behind a load balancer or without one.

Config: `light:groups` (a list of name, node type, size, whether it is balanced),
`light:text` (goes into the user data), `light:internal` (of the load balancers),
`light:checkpoints` (of the refresh), `light:nap` (seconds that the program sleeps), and
`light:image_NODE`, which pins the image of a node type.
"""

import sys
import time
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
from components.cloud_config import WriteFile, user_data
from components.images import find_image
from components.network import find_network
from components.stack_info import parse_stack

PORT = 8080
PROFILE = "arn:aws:iam::123456789012:instance-profile/light"  # nothing looks into it

config = pulumi.Config("light")
time.sleep(config.get_int("nap") or 0)
stack = parse_stack()
network = find_network("applications_vpc")
groups = config.require_object("groups")
text = user_data([WriteFile(path="/etc/light/text", content=config.get("text") or "")])
images = {
    node: find_image("light-*", "self", config.get(f"image_{node}"))
    for node in sorted({group["node"] for group in groups})
}
inside = aws.ec2.SecurityGroup(
    f"{stack.env_name}-instances",
    description="HTTP to the instances",
    vpc_id=network.vpc_id,
    ingress=[
        aws.ec2.SecurityGroupIngressArgs(
            protocol="tcp", from_port=PORT, to_port=PORT, cidr_blocks=["10.0.0.0/8"]
        )
    ],
)
for group in groups:
    name = f"{stack.env_prefix}-{group['name']}-{stack.env_suffix}"
    base = AWSBase(
        tags={"OU": "operations", "Environment": stack.env_name, "Name": name}
    )
    targets = balancer = None
    if group["balanced"]:
        targets = OLTargetGroupConfig(
            vpc_id=network.vpc_id,
            port=PORT,
            protocol="HTTP",
            health_check_port=str(PORT),
            health_check_protocol="HTTP",
            health_check_interval=5,
            health_check_timeout=2,
            health_check_unhealthy_threshold=2,
            tags=base.tags,
        )
        balancer = OLLoadBalancerConfig(
            internal=config.get_bool("internal") or False,
            ip_address_type="ipv4",
            port=80,
            listener_protocol="HTTP",
            listener_use_acm=False,
            security_groups=[inside.id],
            subnets=network.subnet_ids,
            tags=base.tags,
        )
    made = OLAutoScaling(
        asg_config=OLAutoScaleGroupConfig(
            asg_name=name,
            desired_size=group["size"],
            max_size=group["size"] + 1,
            min_size=1,
            instance_refresh_checkpoint_percentages=config.get_object("checkpoints")
            or [],
            instance_refresh_checkpoint_delay=172800,  # AWS's longest
            health_check_type="ELB" if balancer else "EC2",
            vpc_zone_identifiers=network.subnet_ids,
            tags=base.tags,
        ),
        lt_config=OLLaunchTemplateConfig(
            block_device_mappings=[BlockDeviceMapping()],
            image_id=images[group["node"]].id,
            instance_profile_arn=PROFILE,
            security_groups=[inside.id],
            tag_specifications=[
                TagSpecification(resource_type="instance", tags=base.tags)
            ],
            user_data=text,
            tags=base.tags,
        ),
        tg_config=targets,
        lb_config=balancer,
    )
    pulumi.export(f"{group['name']}_group", made.auto_scale_group.name)
    if made.load_balancer:
        pulumi.export("load_balancer_dns_name", made.load_balancer.dns_name)
        pulumi.export(
            "url", made.load_balancer.dns_name.apply(lambda dns: f"http://{dns}")
        )
