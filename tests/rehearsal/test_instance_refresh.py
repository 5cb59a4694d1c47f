"""Instance refresh as EC2 Auto Scaling does it, against a cloud of records."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

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
        end = time.monotonic() + 10
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
            Preferences={"InstanceWarmup": 60, **preferences},
            **desired,
        )
        return str(started["InstanceRefreshId"])

    def roll(
        self, name: str, version: str | None = "2", **preferences: Any
    ) -> tuple[list[Seen], dict[str, Any]]:
        """Start a refresh and follow it to its end."""
        self.start(name, version, **preferences)
        return self.account.watch(name)


def _data(ami: str) -> dict[str, str]:
    return {"ImageId": ami, "InstanceType": "t3.small"}


@pytest.fixture(scope="module")
def world(records: Account) -> World:
    """Return AMIs and templates to make groups of."""
    return World(records)


@pytest.fixture(scope="module")
def gone(world: World) -> str:
    """Return a template version whose AMI does not exist any more."""
    world.account.ec2.deregister_image(ImageId=world.amis[2])
    return "3"


@pytest.fixture(scope="module")
def targets(world: World) -> str:
    """Return a target group."""
    account = world.account
    made = account.elb.create_target_group(
        Name=account.name("tg"), Protocol="HTTP", Port=80, VpcId=account.vpc()
    )
    return str(made["TargetGroups"][0]["TargetGroupArn"])


def healths(account: Account, targets: str) -> set[str]:
    """Return the ids of the targets that are registered."""
    found = account.elb.describe_target_health(TargetGroupArn=targets)
    return {one["Target"]["Id"] for one in found["TargetHealthDescriptions"]}


@pytest.fixture(scope="module")
def rolled(world: World, targets: str) -> dict[str, Any]:
    """Return what a refresh of a group of one showed, at a minimum of 90 %."""
    name = world.make(1, TargetGroupARNs=[targets])
    old = world.account.members(name)[0]
    seen, last = world.roll(name, MinHealthyPercentage=90)
    return {"name": name, "old": old, "seen": seen, "last": last}


@pytest.fixture(scope="module")
def latest(world: World) -> str:
    """Return a group on $Latest."""
    return world.make(2, "$Latest")


class TestOneInstance:
    """Desired 1, MinHealthyPercentage 90, no maximum: the only instance goes first."""

    def test_has_an_outage_and_succeeds(self, rolled: dict[str, Any]) -> None:
        """At some moment nothing is in service; then all is on the new version."""
        assert rolled["last"]["Status"] == "Successful"
        assert any(SERVING not in look.lifecycle for look in rolled["seen"])
        assert rolled["seen"][-1].versions == "2"
        assert rolled["last"]["PercentageComplete"] == 100

    def test_terminates_the_old_instance(
        self, world: World, rolled: dict[str, Any]
    ) -> None:
        """EC2 shows the replaced instance as terminated."""
        assert world.account.instance(rolled["old"])["State"]["Name"] == "terminated"

    def test_moves_the_target(
        self, world: World, targets: str, rolled: dict[str, Any]
    ) -> None:
        """The target group holds exactly the new instance."""
        members = set(world.account.members(rolled["name"]))
        assert healths(world.account, targets) == members

    def test_switches_the_group(self, world: World, rolled: dict[str, Any]) -> None:
        """After success the group uses the desired configuration."""
        group = world.account.group(rolled["name"])
        assert group["LaunchTemplate"]["Version"] == "2"

    def test_launches_the_new_image(self, world: World, rolled: dict[str, Any]) -> None:
        """The new instance has the new AMI and the tag of its template version."""
        member = world.account.members(rolled["name"])[0]
        instance = world.account.instance(member)
        tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        assert instance["ImageId"] == world.amis[1]
        assert tags["aws:ec2launchtemplate:version"] == "2"

    def test_shows_all_fields(self, rolled: dict[str, Any]) -> None:
        """A finished refresh shows what AWS shows."""
        wanted = {
            "InstanceRefreshId",
            "AutoScalingGroupName",
            "Status",
            "StartTime",
            "EndTime",
            "PercentageComplete",
            "InstancesToUpdate",
            "Preferences",
            "DesiredConfiguration",
            "Strategy",
        }
        assert wanted <= set(rolled["last"])


class TestBatches:
    """How many instances go at once."""

    def test_launches_first_at_a_hundred_percent(self, world: World) -> None:
        """With minimum and maximum 100 a group of one is never without service."""
        seen, last = world.roll(
            world.make(1), MinHealthyPercentage=100, MaxHealthyPercentage=100
        )
        assert last["Status"] == "Successful"
        assert all(look.lifecycle.get(SERVING, 0) >= 1 for look in seen)
        assert any(sum(look.lifecycle.values()) == 2 for look in seen)

    def test_replaces_one_of_four_at_75(self, world: World) -> None:
        """Four at minimum 75 go one by one: 25 % done shows two to update."""
        seen, last = world.roll(world.make(4), MinHealthyPercentage=75)
        numbers = [(look.status, look.percent, look.waiting) for look in seen]
        percents = [look.percent for look in seen]
        assert ("InProgress", 25, 2) in numbers
        assert percents == sorted(percents)
        assert last["PercentageComplete"] == 100

    def test_replaces_all_at_zero(self, world: World) -> None:
        """With minimum 0 all go at once."""
        seen, last = world.roll(world.make(10), MinHealthyPercentage=0)
        numbers = [(look.status, look.percent, look.waiting) for look in seen]
        assert ("InProgress", 0, 0) in numbers
        assert last["Status"] == "Successful"

    def test_keeps_within_both_limits(self, world: World) -> None:
        """Ten between 90 and 120 %: at most 12 instances, at least 9 serve."""
        seen, _ = world.roll(
            world.make(10), MinHealthyPercentage=90, MaxHealthyPercentage=120
        )
        assert max(sum(look.lifecycle.values()) for look in seen) == 12
        assert min(look.lifecycle.get(SERVING, 0) for look in seen) >= 9

    def test_stops_at_the_last_checkpoint(self, world: World) -> None:
        """Checkpoints 20 and 50 end with half of the instances replaced."""
        seen, last = world.roll(
            world.make(10),
            MinHealthyPercentage=80,
            CheckpointPercentages=[20, 50],
            CheckpointDelay=600,
        )
        assert last["Status"] == "Successful"
        assert seen[-1].versions == "1111122222"

    def test_replaces_nothing_that_matches(self, world: World) -> None:
        """SkipMatching leaves instances that already are as desired."""
        name = world.make(3, "2")
        before = set(world.account.members(name))
        _, last = world.roll(name, SkipMatching=True)
        assert last["Status"] == "Successful"
        assert set(world.account.members(name)) == before


class TestRollback:
    """Going back, by hand or by itself."""

    def test_by_hand(self, world: World) -> None:
        """A rollback puts the old version back and counts down to 0 %."""
        name = world.make(4)
        world.start(name, MinHealthyPercentage=75)
        world.account.watch(name, lambda refresh: refresh["PercentageComplete"] == 50)
        world.account.asg.rollback_instance_refresh(AutoScalingGroupName=name)
        seen, last = world.account.watch(name)
        assert seen[0].status == "RollbackInProgress"
        assert last["Status"] == "RollbackSuccessful"
        assert last["PercentageComplete"] == 0
        assert seen[-1].versions == "1111"
        assert world.account.group(name)["LaunchTemplate"]["Version"] == "1"

    def test_by_alarm(self, world: World) -> None:
        """An alarm with AutoRollback rolls back; without it the refresh fails."""
        alarms, alarm = world.account.client("cloudwatch"), world.account.name("alarm")
        alarms.put_metric_alarm(
            AlarmName=alarm,
            MetricName="m",
            Namespace="n",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
        watched = {"AlarmSpecification": {"Alarms": [alarm]}}
        name = world.make(3)
        world.start(name, MinHealthyPercentage=60, AutoRollback=True, **watched)
        world.account.watch(name, lambda refresh: refresh["PercentageComplete"] >= 33)
        alarms.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="x")
        seen, last = world.account.watch(name)
        assert last["Status"] == "RollbackSuccessful"
        assert seen[-1].versions == "111"
        _, last = world.roll(world.make(2), MinHealthyPercentage=50, **watched)
        assert last["Status"] == "Failed"
        assert alarm in last["StatusReason"]

    def test_of_an_image_that_is_gone(self, world: World, gone: str) -> None:
        """With AutoRollback a refresh to a deregistered AMI goes back, nothing lost."""
        name = world.make(2)
        seen, last = world.roll(name, gone, MinHealthyPercentage=50, AutoRollback=True)
        assert last["Status"] == "RollbackSuccessful"
        assert seen[-1].versions == "11"
        assert "does not exist" in last["RollbackDetails"]["RollbackReason"]
        found = world.account.asg.describe_scaling_activities(AutoScalingGroupName=name)
        assert any(one["StatusCode"] == "Failed" for one in found["Activities"])

    def test_refused_on_latest(self, world: World) -> None:
        """A group on $Latest cannot be rolled back, as on AWS."""
        name = world.make(2, "$Latest")
        world.start(name, "1")
        code, _ = world.account.fault(
            world.account.asg.rollback_instance_refresh, AutoScalingGroupName=name
        )
        assert code == "IrreversibleInstanceRefresh"


class TestEndings:
    """Refreshes that do not simply succeed."""

    def test_retries_for_an_hour(self, world: World, gone: str) -> None:
        """A deregistered AMI fails after an hour (scaled: 3.6 s), nothing lost."""
        seen, last = world.roll(world.make(2), gone, MinHealthyPercentage=50)
        took = (last["EndTime"] - last["StartTime"]).total_seconds()
        assert last["Status"] == "Failed"
        assert seen[-1].versions == "11"
        assert 3 < took < 8

    def test_cancel_keeps_what_was_replaced(self, world: World) -> None:
        """Cancelling, then Cancelled; new ones stay, the group keeps its version."""
        name, asg = world.make(4), world.account.asg
        world.start(name, MinHealthyPercentage=75)
        world.account.watch(name, lambda refresh: refresh["PercentageComplete"] == 25)
        asg.cancel_instance_refresh(AutoScalingGroupName=name)
        seen, last = world.account.watch(name)
        assert last["Status"] == "Cancelled"
        assert set(seen[-1].versions) == {"1", "2"}
        assert len(seen[-1].versions) == 4
        assert world.account.group(name)["LaunchTemplate"]["Version"] == "1"
        code, _ = world.account.fault(
            asg.cancel_instance_refresh, AutoScalingGroupName=name
        )
        assert code == "ActiveInstanceRefreshNotFound"

    def test_bakes(self, world: World) -> None:
        """BakeTime is seen as a state of its own before success."""
        seen, last = world.roll(world.make(1), BakeTime=300)
        assert "Baking" in [look.status for look in seen]
        assert last["Status"] == "Successful"

    def test_replaces_a_new_instance_that_is_unhealthy(self, world: World) -> None:
        """An instance that turns unhealthy in its warm-up is replaced, too."""
        name = world.make(2)
        world.start(name, MinHealthyPercentage=50, InstanceWarmup=600)
        world.account.watch(name, lambda r: "warm up" in r.get("StatusReason", ""))
        members = world.account.group(name)["Instances"]
        new = [m["InstanceId"] for m in members if m["LaunchTemplate"]["Version"] == "2"]
        world.account.asg.set_instance_health(
            InstanceId=new[0], HealthStatus="Unhealthy"
        )
        _, last = world.account.watch(name)
        assert last["Status"] == "Successful"
        assert new[0] not in world.account.members(name)
        assert len(world.account.members(name)) == 2

    def test_ends_with_its_group(self, world: World) -> None:
        """A group can be deleted while it is refreshed."""
        name, asg = world.make(2), world.account.asg
        world.start(name)
        asg.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        found = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        assert not found["AutoScalingGroups"]


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
        ids=["rollback-to-nothing", "rollback-on-latest", "max-alone", "delay", "order"],
    )
    def test_bad_preferences(
        self, world: World, latest: str, desired: str | None, preferences: dict[str, Any]
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


class TestHeldInstances:
    """Instances that are protected from scale-in or in Standby."""

    def protected(self, world: World) -> str:
        """Return a group of three with one protected instance."""
        name = world.make(3)
        world.account.asg.set_instance_protection(
            AutoScalingGroupName=name,
            InstanceIds=world.account.members(name)[:1],
            ProtectedFromScaleIn=True,
        )
        return name

    def test_protected(self, world: World) -> None:
        """Ignore replaces the others; Wait fails after an hour; Refresh takes all."""
        name = self.protected(world)
        seen, last = world.roll(
            name, ScaleInProtectedInstances="Ignore", MinHealthyPercentage=0
        )
        assert last["Status"] == "Successful"
        assert seen[-1].versions == "122"
        _, last = world.roll(name, MinHealthyPercentage=0)
        assert last["Status"] == "Failed"
        assert "protected from scale in" in last["StatusReason"]
        seen, last = world.roll(name, ScaleInProtectedInstances="Refresh")
        assert seen[-1].versions == "222"

    def test_standby(self, world: World) -> None:
        """An instance in Standby is left alone where told so."""
        name = world.make(3)
        world.account.asg.enter_standby(
            AutoScalingGroupName=name,
            InstanceIds=world.account.members(name)[:1],
            ShouldDecrementDesiredCapacity=True,
        )
        seen, last = world.roll(name, StandbyInstances="Ignore")
        assert last["Status"] == "Successful"
        assert seen[-1].versions == "122"


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
        eventually(lambda: before <= healths(world.account, targets))
        world.account.asg.set_desired_capacity(
            AutoScalingGroupName=name, DesiredCapacity=1
        )
        after = set(world.account.members(name))
        assert len(after) == 1
        assert healths(world.account, targets) & before == after

    def test_spreads_over_the_subnets(self, world: World) -> None:
        """Four instances use both subnets."""
        members = world.account.members(world.make(4))
        used = {world.account.instance(member)["SubnetId"] for member in members}
        assert used == set(world.account.subnets())


class TestLooking:
    """What is seen does not depend on who looks, or when."""

    def test_history(self, world: World) -> None:
        """The newest refresh comes first, and NextToken leads to the rest."""
        name, asg = world.make(1), world.account.asg
        for version in ("2", "1", "2"):
            world.roll(name, version)
        first = asg.describe_instance_refreshes(AutoScalingGroupName=name, MaxRecords=2)
        rest = asg.describe_instance_refreshes(
            AutoScalingGroupName=name, MaxRecords=2, NextToken=first["NextToken"]
        )
        newer, older = first["InstanceRefreshes"], rest["InstanceRefreshes"]
        assert (len(newer), len(older)) == (2, 1)
        assert newer[0]["StartTime"] > newer[1]["StartTime"] > older[0]["StartTime"]

    def test_times_are_true(self, world: World) -> None:
        """A refresh nobody asked about ends by itself, at its own time."""
        name = world.make(4)
        world.start(name, MinHealthyPercentage=75)
        threading.Event().wait(3)  # nobody looks meanwhile: that is the point
        refresh = world.account.refresh(name)
        took = (refresh["EndTime"] - refresh["StartTime"]).total_seconds()
        assert refresh["Status"] == "Successful"
        assert 1 < took < 2.5  # four times 0.2 s to launch and 0.06 s to warm up

    def test_eight_at_once(self, world: World) -> None:
        """Many who ask during a refresh all get answers, and do not disturb it."""
        name = world.make(8)
        world.start(name, MinHealthyPercentage=75)
        faults: list[str] = []

        def ask() -> None:
            client = world.account.target.client("autoscaling")
            try:
                for _ in range(20):
                    client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
                    client.describe_instance_refreshes(AutoScalingGroupName=name)
            except ClientError as error:
                faults.append(str(error))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seen, last = world.account.watch(name)
        assert not faults
        assert last["Status"] == "Successful"
        assert seen[-1].versions == "2" * 8

    def test_immediate(self, world: World) -> None:
        """At the pace "immediate" a refresh is over at the first look."""
        name = world.make(6)
        world.account.pace(progression="immediate")
        try:
            world.start(
                name, CheckpointPercentages=[50, 100], CheckpointDelay=600, BakeTime=600
            )
            refresh = world.account.refresh(name)
        finally:
            world.account.pace(progression="time", seconds=0.2)
        assert refresh["Status"] == "Successful"
        assert refresh["PercentageComplete"] == 100
