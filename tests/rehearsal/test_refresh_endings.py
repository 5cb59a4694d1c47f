"""How an instance refresh ends when it does not simply succeed."""

from __future__ import annotations

from tests.rehearsal.world import World


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
        # Long enough to be seen also where the machine is busy.
        seen, last = world.roll(world.make(1), BakeTime=3600)
        assert "Baking" in [look.status for look in seen]
        assert last["Status"] == "Successful"

    def test_replaces_a_new_instance_that_is_unhealthy(self, world: World) -> None:
        """An instance that turns unhealthy in its warm-up is replaced, too."""
        name = world.make(2)
        world.start(name, MinHealthyPercentage=50, InstanceWarmup=600)
        world.account.watch(name, lambda r: "warm up" in r.get("StatusReason", ""))
        members = world.account.group(name)["Instances"]
        new = [
            m["InstanceId"] for m in members if m["LaunchTemplate"]["Version"] == "2"
        ]
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
