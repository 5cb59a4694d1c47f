"""AMIs and a launch template, to make groups of and refresh them."""

from __future__ import annotations

import time
from typing import Any

from tests.rehearsal.support import Account, Seen

SERVING = "InService"


class World:
    """Three AMIs, a template with four versions, and groups made of it.

    Args:
        account: The cloud's account.

    """

    def __init__(self, account: Account) -> None:
        self.account = account
        ec2 = account.ec2
        seed = ec2.run_instances(
            ImageId=account.base_image(), MinCount=1, MaxCount=1, InstanceType="t3.nano"
        )["Instances"][0]["InstanceId"]
        self.amis = []
        for _ in range(3):
            made = ec2.create_image(InstanceId=seed, Name=account.name("app"))
            self.amis.append(made["ImageId"])
        ec2.get_waiter("image_available").wait(
            ImageIds=self.amis, WaiterConfig={"Delay": 1}
        )
        first, *others = [*self.amis, self.amis[1]]
        self.template = ec2.create_launch_template(
            LaunchTemplateName=account.name("app"), LaunchTemplateData=_data(first)
        )["LaunchTemplate"]["LaunchTemplateId"]
        for ami in others:
            ec2.create_launch_template_version(
                LaunchTemplateId=self.template, LaunchTemplateData=_data(ami)
            )

    def desired(self, version: str) -> dict[str, Any]:
        """Return a desired configuration with a version of the template."""
        return {
            "LaunchTemplate": {"LaunchTemplateId": self.template, "Version": version}
        }

    def make(self, desired: int, version: str = "1", **more: Any) -> str:
        """Make a group and wait until all its instances serve."""
        name = self.account.name("group")
        self.account.asg.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=20,
            DesiredCapacity=desired,
            VPCZoneIdentifier=",".join(self.account.subnets()),
            HealthCheckGracePeriod=60,
            **{**self.desired(version), **more},
        )
        self.serving(name, desired)
        return name

    def serving(self, name: str, count: int) -> None:
        """Wait until so many instances of a group serve."""
        end = time.monotonic() + 60
        while True:
            members = self.account.group(name)["Instances"]
            if sum(one["LifecycleState"] == SERVING for one in members) == count:
                return
            assert time.monotonic() < end, members
            time.sleep(0.02)

    def start(self, name: str, version: str | None = "2", **preferences: Any) -> str:
        """Start a refresh."""
        desired = {"DesiredConfiguration": self.desired(version)} if version else {}
        started = self.account.asg.start_instance_refresh(
            AutoScalingGroupName=name,
            Preferences={"InstanceWarmup": 300, **preferences},
            **desired,
        )
        return str(started["InstanceRefreshId"])

    def roll(
        self, name: str, version: str | None = "2", **preferences: Any
    ) -> tuple[list[Seen], dict[str, Any]]:
        """Start a refresh and follow it to its end."""
        self.start(name, version, **preferences)
        return self.account.watch(name)

    def target_group(self) -> str:
        """Return a new target group."""
        made = self.account.elb.create_target_group(
            Name=self.account.name("tg"),
            Protocol="HTTP",
            Port=80,
            VpcId=self.account.vpc(),
        )
        return str(made["TargetGroups"][0]["TargetGroupArn"])

    def registered(self, targets: str) -> set[str]:
        """Return the ids of a target group's registered targets."""
        found = self.account.elb.describe_target_health(TargetGroupArn=targets)
        return {one["Target"]["Id"] for one in found["TargetHealthDescriptions"]}


def _data(ami: str) -> dict[str, str]:
    return {"ImageId": ami, "InstanceType": "t3.small"}
