"""Auto Scaling groups around a refresh, and calls that AWS refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.rehearsal.support import Account
from tests.rehearsal.world import World


class TestRefusals:
    """Calls that AWS refuses are refused with its codes."""

    def test_group_on_a_missing_image(self, world: World, gone: str) -> None:
        """A group whose AMI is gone is not made."""
        code, message = world.account.fault(world.make, desired=1, version=gone)
        assert code == "ValidationError"
        assert "does not exist" in message

    @pytest.mark.parametrize(
        ("desired", "preferences"),
        [
            (None, {"AutoRollback": True}),
            ("1", {"AutoRollback": True}),
            (None, {"MaxHealthyPercentage": 150}),
            (None, {"CheckpointDelay": 60}),
            (None, {"CheckpointPercentages": [50, 20]}),
        ],
        ids=[
            "rollback-to-nothing",
            "rollback-on-latest",
            "max-alone",
            "delay",
            "order",
        ],
    )
    def test_bad_preferences(
        self,
        world: World,
        latest: str,
        desired: str | None,
        preferences: dict[str, Any],
    ) -> None:
        """Preferences that cannot be kept are a ValidationError."""
        given = {"DesiredConfiguration": world.desired(desired)} if desired else {}
        code, _ = world.account.fault(
            world.account.asg.start_instance_refresh,
            AutoScalingGroupName=latest,
            Preferences=preferences,
            **given,
        )
        assert code == "ValidationError"

    def test_unknown_group(self, world: World) -> None:
        """A group that is not there is a ValidationError, not an HTML page."""
        start = world.account.asg.start_instance_refresh
        code, message = world.account.fault(start, AutoScalingGroupName="nope")
        assert code == "ValidationError"
        assert "nope" in message

    def test_unknown_version(self, world: World, latest: str) -> None:
        """A template version that is not there is refused."""
        code, _ = world.account.fault(
            world.account.asg.start_instance_refresh,
            AutoScalingGroupName=latest,
            DesiredConfiguration=world.desired("99"),
        )
        assert code

    def test_second_start(self, world: World) -> None:
        """One refresh at a time; meanwhile the template cannot change, sizes can."""
        name, asg = world.make(2), world.account.asg
        world.start(name)
        code, _ = world.account.fault(
            asg.start_instance_refresh, AutoScalingGroupName=name
        )
        assert code == "InstanceRefreshInProgress"
        code, message = world.account.fault(
            asg.update_auto_scaling_group,
            AutoScalingGroupName=name,
            **world.desired("1"),
        )
        assert code == "ValidationError"
        assert message.startswith("An active instance refresh with a desired")
        asg.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=1)
        world.account.watch(name)


class TestGroups:
    """What groups do around refreshes."""

    def test_latest_becomes_a_number(self, world: World) -> None:
        """An instance launched from $Latest says which number that was."""
        assert world.account.versions(world.make(2, "$Latest")) == "44"

    def test_scale_out_uses_the_desired_configuration(self, world: World) -> None:
        """Instances added during a refresh come from its configuration."""
        name = world.make(2)
        world.start(name, MinHealthyPercentage=50)
        world.account.watch(name, lambda refresh: refresh["Status"] == "InProgress")
        world.account.asg.set_desired_capacity(
            AutoScalingGroupName=name, DesiredCapacity=4
        )
        seen, _ = world.account.watch(name)
        assert seen[-1].versions == "2222"

    def test_keeps_the_mixed_policy(self, world: World) -> None:
        """An update of MaxSize keeps the policy; a refresh launches its override."""
        name, asg = world.account.name("mixed"), world.account.asg

        def policy(version: str, kind: str) -> dict[str, Any]:
            source = {"LaunchTemplateId": world.template, "Version": version}
            return {
                "LaunchTemplate": {
                    "LaunchTemplateSpecification": source,
                    "Overrides": [{"InstanceType": kind}],
                }
            }

        asg.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=4,
            DesiredCapacity=2,
            VPCZoneIdentifier=world.account.subnets()[0],
            MixedInstancesPolicy=policy("1", "t3.medium"),
        )
        world.serving(name, 2)
        asg.update_auto_scaling_group(AutoScalingGroupName=name, MaxSize=5)
        assert "MixedInstancesPolicy" in world.account.group(name)
        asg.start_instance_refresh(
            AutoScalingGroupName=name,
            DesiredConfiguration={"MixedInstancesPolicy": policy("2", "t3.large")},
            Preferences={"InstanceWarmup": 10},
        )
        seen, last = world.account.watch(name)
        members = world.account.group(name)["Instances"]
        assert last["Status"] == "Successful"
        assert seen[-1].versions == "22"
        assert {member["InstanceType"] for member in members} == {"t3.large"}

    def test_scale_in_leaves_the_targets_that_run(
        self, world: World, targets: str, eventually: Callable[..., Any]
    ) -> None:
        """Instances that go leave the target group, the others stay in it."""
        name = world.make(3, TargetGroupARNs=[targets])
        before = set(world.account.members(name))
        eventually(lambda: before == world.registered(targets))
        world.account.asg.set_desired_capacity(
            AutoScalingGroupName=name, DesiredCapacity=1
        )
        after = set(world.account.members(name))
        assert len(after) == 1
        assert world.registered(targets) == after

    def test_spreads_over_the_subnets(self, world: World) -> None:
        """Four instances use both subnets."""
        members = world.account.members(world.make(4))
        used = {world.account.instance(member)["SubnetId"] for member in members}
        assert used == set(world.account.subnets())

    def test_a_subnet_is_never_used_up(self, records: Account) -> None:
        """Instances that are gone need no address: a rehearsal is up for days."""
        ec2 = records.ec2
        network = ec2.create_vpc(CidrBlock="10.9.0.0/24")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.9.0.0/28")["Subnet"]
        for _ in range(subnet["AvailableIpAddressCount"] + 2):
            (made,) = ec2.run_instances(
                ImageId=records.base_image(),
                MinCount=1,
                MaxCount=1,
                SubnetId=subnet["SubnetId"],
            )["Instances"]
            ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
