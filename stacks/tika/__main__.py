"""Tika server: what one stage deploys.

An ordinary Pulumi program (`pulumi up -s applications.tika.CI -C stacks/tika`). The
folder `stacks` is put on the path so that `components` beside this folder is found,
wherever the two were copied to.

Config: `tika:auto_scale`, `tika:business_unit`, `tika:target_vpc`,
`tika:web_host_domain`, `tika:instance_type`, the secret `tika:access_token`, and
`tika:image_id`, which pins the image; without it the newest own one is taken that is
not revoked.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pulumi  # noqa: E402
import pulumi_aws as aws  # noqa: E402
import pulumi_consul as consul  # noqa: E402
import pulumi_vault as vault  # noqa: E402
from components.auto_scaling import (  # noqa: E402
    BlockDeviceMapping,
    OLAutoScaleGroupConfig,
    OLAutoScaling,
    OLLaunchTemplateConfig,
    TagSpecification,
)
from components.aws_base import AWSBase  # noqa: E402
from components.cloud_config import WriteFile, user_data  # noqa: E402
from components.https import behind_https, name_in_dns  # noqa: E402
from components.images import find_image  # noqa: E402
from components.network import find_network  # noqa: E402
from components.stack_info import parse_stack  # noqa: E402

APP = "tika-server"

config = pulumi.Config("tika")
stack = parse_stack()
account = aws.get_caller_identity().account_id
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

# The image: the newest of our own that is not revoked, unless one is pinned.
image = find_image(
    f"{APP}-*",
    account,
    config.get("image_id"),
    virtualization_type="hvm",
    root_device_type="ebs",
)

# What an instance may do in AWS.
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
    path=f"/ol-infrastructure/{APP}/role/",
    tags=base.tags,
)
describe_instances = aws.iam.Policy(
    f"{APP}-describe-instances-policy-{stack.env_name}",
    description="Find the Consul servers to join",
    path=f"/ol-infrastructure/{APP}/",
    policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["ec2:DescribeInstances", "ec2:DescribeTags"],
                    "Resource": "*",
                }
            ],
        }
    ),
    tags=base.tags,
)
aws.iam.RolePolicyAttachment(
    f"{APP}-describe-instance-role-policy-{stack.env_name}",
    policy_arn=describe_instances.arn,
    role=role.name,
)
profile = aws.iam.InstanceProfile(
    f"{APP}-instance-profile-{stack.env_name}",
    role=role.name,
    path=f"/ol-infrastructure/{APP}/profile/",
    tags=base.tags,
)

# What an instance may read in Vault: only one that runs this image can log in.
policy = vault.Policy(
    f"{APP}-vault-policy",
    name=APP,
    policy=HERE.joinpath("tika_server_policy.hcl").read_text(encoding="utf-8"),
)
vault.aws.AuthBackendRole(
    f"{APP}-ami-ec2-vault-auth",
    backend="aws",
    auth_type="iam",
    role=APP,
    inferred_entity_type="ec2_instance",
    inferred_aws_region="us-east-1",
    bound_account_ids=[account],
    bound_ami_ids=[image.id],
    bound_iam_instance_profile_arns=[profile.arn],
    bound_vpc_ids=[network.vpc_id],
    token_policies=[policy.name],
    opts=pulumi.ResourceOptions(delete_before_replace=True),
)

# Who reaches what: the world the load balancer, the load balancer the instances.
server_group, https = behind_https(
    f"{APP}-load-balancer-security-group-{stack.env_name}",
    f"{APP}-security-group-{stack.env_name}",
    network=network,
    health_check_path="/version",
    tags=base.tags,
)


def first_boot(access_token: str) -> str:
    """Return the user data: the token and the environment's name, as files."""
    join = f"provider=aws tag_key=consul_env tag_value=operations-{stack.env_suffix}"
    return user_data(
        [
            WriteFile(
                path="/etc/tika/access_token.env",
                content=f"X_ACCESS_TOKEN={access_token}\n",
                permissions="0600",
            ),
            WriteFile(
                path="/etc/tika/environment",
                content=f"ENVIRONMENT={stack.env_name}\n",
            ),
            WriteFile(
                path="/etc/consul.d/99-autojoin.json",
                content=json.dumps(
                    {
                        "retry_join": [join],
                        "datacenter": f"operations-{stack.env_suffix}",
                    }
                ),
            ),
        ]
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
        instance_type=config.get("instance_type") or "t3a.medium",
        security_groups=[server_group.id],
        tag_specifications=[
            TagSpecification(resource_type=kind, tags=base.tags)
            for kind in ("instance", "volume")
        ],
        user_data=config.require_secret("access_token").apply(first_boot),
        tags=base.tags,
    ),
    **https,
)
assert auto_scaling.load_balancer

name_in_dns(f"{APP}-dns-record", domain, auto_scaling.load_balancer)
consul.Keys(
    f"{APP}-consul-keys-{stack.env_name}",
    keys=[
        consul.KeysKeyArgs(path=f"{APP}/url", value=f"https://{domain}", delete=True),
    ],
)

pulumi.export("auto_scale_group", auto_scaling.auto_scale_group.name)
pulumi.export("launch_template", auto_scaling.launch_template.id)
pulumi.export("load_balancer_dns_name", auto_scaling.load_balancer.dns_name)
pulumi.export("url", f"https://{domain}")
pulumi.export("image_id", image.id)
