"""How an instance refresh goes on, and what is seen of it meanwhile."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.rehearsal.world import SERVING, World


@pytest.fixture(scope="module")
def rolled(world: World) -> dict[str, Any]:
    """Return what a refresh of a group of one showed, at a minimum of 90 %."""
    targets = world.target_group()
    name = world.make(1, TargetGroupARNs=[targets])
    old = world.account.members(name)[0]
    seen, last = world.roll(name, MinHealthyPercentage=90)
    return {"name": name, "old": old, "seen": seen, "last": last, "tg": targets}


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

    def test_moves_the_target(self, world: World, rolled: dict[str, Any]) -> None:
        """The target group holds exactly the new instance."""
        members = set(world.account.members(rolled["name"]))
        assert world.registered(rolled["tg"]) == members

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
        world.start(name, MinHealthyPercentage=75, InstanceWarmup=60)
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
