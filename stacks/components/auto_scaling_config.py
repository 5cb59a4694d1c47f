"""Configuration of `OLAutoScaling`: fields and defaults of ol-infrastructure's."""

from __future__ import annotations

from typing import Any, Literal, Self

from pulumi import Output
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from components.aws_base import AWSBase

__all__ = [
    "BlockDeviceMapping",
    "OLAutoScaleGroupConfig",
    "OLLaunchTemplateConfig",
    "OLLoadBalancerConfig",
    "OLTargetGroupConfig",
    "TagSpecification",
]

Text = str | Output[str]
LARGEST_PORT = 65535
Port = Field(443, ge=1, le=LARGEST_PORT)


class _Part(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")


class BlockDeviceMapping(_Part):
    """One disk of an instance."""

    delete_on_termination: bool = True
    device_name: str = "/dev/xvda"
    encrypted: bool = True
    iops: PositiveInt | None = None
    kms_key_arn: Text | None = None
    throughput: PositiveInt | None = None
    volume_size: PositiveInt = 25
    volume_type: Literal["gp2", "gp3", "io1", "io2", "standard"] = "gp3"


class TagSpecification(_Part):
    """Tags for one kind of resource a launch makes."""

    resource_type: Literal["instance", "volume", "network-interface"]
    tags: dict[str, str]


class OLTargetGroupConfig(AWSBase):
    """The target group and its health check."""

    vpc_id: Text
    port: int = Port
    protocol: Literal["HTTP", "HTTPS"] = "HTTPS"
    stickiness: Literal["lb_cookie"] | None = None

    health_check_enabled: bool = True
    health_check_healthy_threshold: PositiveInt = 2
    health_check_interval: PositiveInt = 10
    health_check_matcher: str = "200"
    health_check_path: str = "/"
    health_check_port: str = "443"
    health_check_protocol: Literal["HTTP", "HTTPS"] = "HTTPS"
    health_check_timeout: PositiveInt = 5
    health_check_unhealthy_threshold: PositiveInt = 3


class OLLoadBalancerConfig(AWSBase):
    """The load balancer and its listener."""

    enable_http2: bool = True
    enable_insecure_http: bool = False
    idle_timeout_seconds: PositiveInt = 60
    internal: bool = False
    ip_address_type: Literal["dualstack", "ipv4"] = "dualstack"
    load_balancer_type: Literal["application"] = "application"
    port: int = Port
    security_groups: list[Text]
    subnets: list[Text] | Output[list[str]]

    listener_use_acm: bool = True
    listener_cert_arn: Text | None = None
    listener_cert_domain: str = "*.odl.mit.edu"
    listener_protocol: Literal["HTTP", "HTTPS"] = "HTTPS"
    listener_action_type: Literal["forward"] = "forward"


class OLLaunchTemplateConfig(AWSBase):
    """What an instance is launched from."""

    block_device_mappings: list[BlockDeviceMapping]
    image_id: Text
    instance_profile_arn: Text
    instance_type: str = "t3a.medium"
    key_name: str = "oldevops"
    security_groups: list[Text]
    tag_specifications: list[TagSpecification]
    user_data: Text | None = None


class OLAutoScaleGroupConfig(AWSBase):
    """The Auto Scaling group and how it replaces its instances.

    Args:
        asg_name: Prefix of every name; at most 32 characters remain where AWS says so.
        health_check_grace_period: Seconds; 0 leaves the provider's default (300 s).
        instance_refresh_triggers: `tag` starts a refresh when a tag of the group
            changes; the tag `ami_id` makes a new image do that.

    """

    asg_name: str
    desired_size: PositiveInt = 2
    health_check_grace_period: NonNegativeInt = 0
    health_check_type: Literal["ELB", "EC2"] = "ELB"
    max_instance_lifetime_seconds: NonNegativeInt | None = 2592000  # 30 days
    max_size: PositiveInt = 2
    min_size: PositiveInt = 1
    vpc_zone_identifiers: list[Text] | Output[list[str]]

    instance_refresh_checkpoint_delay: PositiveInt = 3600
    instance_refresh_checkpoint_percentages: list[NonNegativeInt] = Field([])
    instance_refresh_warmup: NonNegativeInt = 0
    instance_refresh_min_healthy_percentage: NonNegativeInt = 50
    instance_refresh_strategy: Literal["Rolling"] = "Rolling"
    instance_refresh_triggers: list[str] = Field(["tag"])

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        if not self.min_size <= self.desired_size <= self.max_size:
            sizes: Any = (self.min_size, self.desired_size, self.max_size)
            msg = "min_size {} <= desired_size {} <= max_size {} does not hold"
            raise ValueError(msg.format(*sizes))
        return self
