"""A load-balanced Auto Scaling group: the shape of ol-infrastructure's `OLAutoScaling`.

The group launches from the template's `$Latest` version. A new image changes the tag
`ami_id`, the tag is the trigger, and so the provider starts an instance refresh. Any
other change of the template alone leaves the instances that run as they are.
"""

from __future__ import annotations

from pulumi import ComponentResource, Output, ResourceOptions
from pulumi_aws import acm, autoscaling, ec2, lb

from components.auto_scaling_config import (
    BlockDeviceMapping,
    OLAutoScaleGroupConfig,
    OLLaunchTemplateConfig,
    OLLoadBalancerConfig,
    OLTargetGroupConfig,
    TagSpecification,
)

__all__ = [
    "BlockDeviceMapping",
    "OLAutoScaleGroupConfig",
    "OLAutoScaling",
    "OLLaunchTemplateConfig",
    "OLLoadBalancerConfig",
    "OLTargetGroupConfig",
    "TagSpecification",
]

TYPE = "ol:infrastructure:aws:auto_scale_group:OLAutoScaleGroup"
LONGEST_NAME = 32  # of load balancers and target groups
HTTP_PORT = 80


class OLAutoScaling(ComponentResource):
    """Launch template and group; balancer, listener and target group if configured.

    Args:
        asg_config: The group.
        lt_config: The launch template.
        tg_config: The target group; goes with `lb_config`, both or neither.
        lb_config: The load balancer.
        opts: Pulumi's options.

    Raises:
        ValueError: Only one of `tg_config` and `lb_config` is given.

    """

    load_balancer: lb.LoadBalancer | None = None
    target_group: lb.TargetGroup | None = None
    listener: lb.Listener | None = None
    launch_template: ec2.LaunchTemplate
    auto_scale_group: autoscaling.Group

    def __init__(
        self,
        asg_config: OLAutoScaleGroupConfig,
        lt_config: OLLaunchTemplateConfig,
        tg_config: OLTargetGroupConfig | None = None,
        lb_config: OLLoadBalancerConfig | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        if (tg_config is None) != (lb_config is None):
            msg = "tg_config and lb_config: give both or neither"
            raise ValueError(msg)
        super().__init__(TYPE, asg_config.asg_name, None, opts)
        self._name = asg_config.asg_name
        self._opts = ResourceOptions(parent=self).merge(opts)
        if tg_config and lb_config:
            self.target_group = self._make_target_group(tg_config)
            self.load_balancer = self._make_load_balancer(lb_config)
            self.listener = self._make_listeners(lb_config)
        self.launch_template = self._make_launch_template(lt_config)
        self.auto_scale_group = self._make_group(asg_config, lt_config)
        self.register_outputs(
            {
                "auto_scale_group": self.auto_scale_group.name,
                "launch_template": self.launch_template.id,
            }
        )

    def _make_target_group(self, config: OLTargetGroupConfig) -> lb.TargetGroup:
        stickiness = (
            lb.TargetGroupStickinessArgs(type=config.stickiness, enabled=True)
            if config.stickiness
            else None
        )
        return lb.TargetGroup(
            f"{self._name}-target-group",
            name=f"{self._name}-tg"[:LONGEST_NAME].rstrip("-"),
            vpc_id=config.vpc_id,
            port=config.port,
            protocol=config.protocol,
            target_type="instance",
            stickiness=stickiness,
            health_check=lb.TargetGroupHealthCheckArgs(
                enabled=config.health_check_enabled,
                healthy_threshold=config.health_check_healthy_threshold,
                interval=config.health_check_interval,
                matcher=config.health_check_matcher,
                path=config.health_check_path,
                port=config.health_check_port,
                protocol=config.health_check_protocol,
                timeout=config.health_check_timeout,
                unhealthy_threshold=config.health_check_unhealthy_threshold,
            ),
            tags=config.tags,
            opts=self._opts,
        )

    def _make_load_balancer(self, config: OLLoadBalancerConfig) -> lb.LoadBalancer:
        return lb.LoadBalancer(
            f"{self._name}-load-balancer",
            name=f"{self._name}-lb"[:LONGEST_NAME].rstrip("-"),
            enable_http2=config.enable_http2,
            idle_timeout=config.idle_timeout_seconds,
            internal=config.internal,
            ip_address_type=config.ip_address_type,
            load_balancer_type=config.load_balancer_type,
            security_groups=config.security_groups,
            subnets=config.subnets,
            tags=config.tags,
            opts=self._opts,
        )

    def _make_listeners(self, config: OLLoadBalancerConfig) -> lb.Listener:
        assert self.load_balancer
        assert self.target_group
        certificate = config.listener_cert_arn
        if certificate is None and config.listener_use_acm:
            certificate = acm.get_certificate(
                domain=config.listener_cert_domain,
                most_recent=True,
                statuses=["ISSUED"],
            ).arn
        forward = lb.ListenerDefaultActionArgs(
            type=config.listener_action_type, target_group_arn=self.target_group.arn
        )
        if config.enable_insecure_http:
            lb.Listener(
                f"{self._name}-load-balancer-http-listener",
                load_balancer_arn=self.load_balancer.arn,
                port=HTTP_PORT,
                protocol="HTTP",
                default_actions=[forward],
                opts=self._opts,
            )
        return lb.Listener(
            f"{self._name}-load-balancer-listener",
            load_balancer_arn=self.load_balancer.arn,
            port=config.port,
            protocol=config.listener_protocol,
            certificate_arn=certificate
            if config.listener_protocol == "HTTPS"
            else None,
            default_actions=[forward],
            tags=config.tags,
            opts=self._opts,
        )

    def _make_launch_template(
        self, config: OLLaunchTemplateConfig
    ) -> ec2.LaunchTemplate:
        return ec2.LaunchTemplate(
            f"{self._name}-launch-template",
            name_prefix=f"{self._name}-",
            description=f"Launch template of {self._name}",
            block_device_mappings=[
                _disk(disk) for disk in config.block_device_mappings
            ],
            iam_instance_profile=ec2.LaunchTemplateIamInstanceProfileArgs(
                arn=config.instance_profile_arn
            ),
            image_id=config.image_id,
            instance_type=config.instance_type,
            key_name=config.key_name,
            tag_specifications=[
                ec2.LaunchTemplateTagSpecificationArgs(
                    resource_type=item.resource_type, tags=item.tags
                )
                for item in config.tag_specifications
            ],
            user_data=config.user_data,
            vpc_security_group_ids=config.security_groups,
            tags=config.tags,
            opts=self._opts,
        )

    def _make_group(
        self, config: OLAutoScaleGroupConfig, template: OLLaunchTemplateConfig
    ) -> autoscaling.Group:
        preferences = autoscaling.GroupInstanceRefreshPreferencesArgs(
            checkpoint_delay=str(config.instance_refresh_checkpoint_delay)
            if config.instance_refresh_checkpoint_percentages
            else None,
            checkpoint_percentages=config.instance_refresh_checkpoint_percentages
            or None,
            instance_warmup=str(config.instance_refresh_warmup),
            min_healthy_percentage=config.instance_refresh_min_healthy_percentage,
        )
        tags: dict[str, str | Output[str]] = {
            **config.tags,
            "ami_id": template.image_id,
        }
        return autoscaling.Group(
            f"{self._name}-auto-scale-group",
            desired_capacity=config.desired_size,
            health_check_grace_period=config.health_check_grace_period or None,
            health_check_type=config.health_check_type,
            instance_refresh=autoscaling.GroupInstanceRefreshArgs(
                strategy=config.instance_refresh_strategy,
                preferences=preferences,
                triggers=config.instance_refresh_triggers,
            ),
            launch_template=autoscaling.GroupLaunchTemplateArgs(
                id=self.launch_template.id, version="$Latest"
            ),
            max_instance_lifetime=config.max_instance_lifetime_seconds,
            max_size=config.max_size,
            min_size=config.min_size,
            tags=[
                autoscaling.GroupTagArgs(key=key, value=value, propagate_at_launch=True)
                for key, value in sorted(tags.items())
            ],
            target_group_arns=[self.target_group.arn] if self.target_group else None,
            vpc_zone_identifiers=config.vpc_zone_identifiers,
            opts=self._opts,
        )


def _disk(disk: BlockDeviceMapping) -> ec2.LaunchTemplateBlockDeviceMappingArgs:
    return ec2.LaunchTemplateBlockDeviceMappingArgs(
        device_name=disk.device_name,
        ebs=ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
            delete_on_termination=str(disk.delete_on_termination).lower(),
            encrypted=str(disk.encrypted).lower(),
            iops=disk.iops,
            kms_key_id=disk.kms_key_arn,
            throughput=disk.throughput,
            volume_size=disk.volume_size,
            volume_type=disk.volume_type,
        ),
    )
