"""Launch templates and groups against the cloud of records; what starts a refresh."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from olrunbook.rehearsal.providers.aws import refresh
from olrunbook.rehearsal.providers.aws.autoscaling import triggers
from olrunbook.rehearsal.providers.handler import Caller
from olrunbook.rehearsal.providers.values import Props
from tests.pulumi.kept import TAGS, Kept
from tests.rehearsal.support import Account


def template_inputs(account: Account, name: str) -> Props:
    """Return the inputs of a launch template."""
    return {
        "name": name,
        "imageId": account.base_image(),
        "instanceType": "t3a.medium",
        "userData": base64.b64encode(b"#cloud-config\n").decode(),
        "vpcSecurityGroupIds": [account.security_group(443)],
        "blockDeviceMappings": [
            {
                "deviceName": "/dev/xvda",
                "ebs": {"volumeSize": 25, "deleteOnTermination": "true"},
            }
        ],
        "tagSpecifications": [{"resourceType": "instance", "tags": TAGS}],
        "tags": TAGS,
    }


@pytest.fixture
def group(call: Caller, records: Account) -> Iterator[Kept]:
    """Return a group of one instance, with its template and target group."""
    name = records.name("group")
    template = Kept(
        call, "ec2/launchTemplate:LaunchTemplate", template_inputs(records, name)
    )
    made = Kept(
        call,
        "autoscaling/group:Group",
        {
            "name": name,
            "minSize": 1,
            "maxSize": 2,
            "desiredCapacity": 1,
            "healthCheckType": "EC2",
            "launchTemplate": {"id": template.id, "version": "$Latest"},
            "vpcZoneIdentifiers": records.subnets(),
            "instanceRefresh": {
                "strategy": "Rolling",
                "triggers": ["tag"],
                "preferences": {"minHealthyPercentage": 50, "instanceWarmup": "0"},
            },
            "tags": [
                {"key": "Name", "value": name, "propagateAtLaunch": True},
                {"key": "ami_id", "value": "ami-1", "propagateAtLaunch": True},
            ],
        },
    )
    yield made
    made.delete()


def refreshes(records: Account, group: Kept) -> list[dict[str, Any]]:
    """Return a group's refreshes, newest first."""
    found = records.asg.describe_instance_refreshes(AutoScalingGroupName=group.id)
    return list(found["InstanceRefreshes"])


def test_a_template_update_makes_a_version_and_leaves_the_default(
    call: Caller, records: Account
) -> None:
    """`$Latest` moves, `$Default` does not, unless it is asked to."""
    name = records.name("lt")
    template = Kept(
        call, "ec2/launchTemplate:LaunchTemplate", template_inputs(records, name)
    )
    assert template.drift() == set()

    template.change(instanceType="m6a.large")
    first = template.seen()
    template.change(instanceType="m6a.xlarge", updateDefaultVersion=True)
    second = template.seen()

    assert (first["latestVersion"], first["defaultVersion"]) == (2, 1)
    assert (second["latestVersion"], second["defaultVersion"]) == (3, 3)
    template.delete()
    assert template.gone()


def test_a_change_of_tags_alone_makes_no_version(
    call: Caller, records: Account
) -> None:
    """And a removed tag is removed."""
    inputs = template_inputs(records, records.name("lt"))
    template = Kept(call, "ec2/launchTemplate:LaunchTemplate", inputs)

    template.change(tags={"OU": "data"})

    assert template.seen()["latestVersion"] == 1
    wanted = [{"Name": "resource-id", "Values": [template.id]}]
    found = records.ec2.describe_tags(Filters=wanted)["Tags"]
    assert [(tag["Key"], tag["Value"]) for tag in found] == [("OU", "data")]
    assert template.handler.moving({"tags"}) == ()
    assert "latestVersion" in template.handler.moving({"imageId"})


def test_a_group_waits_for_its_instances(records: Account, group: Kept) -> None:
    """When the creation returns, what it should run is running."""
    assert len(records.members(group.id)) == 1
    assert group.drift() == set()
    assert records.group(group.id)["HealthCheckGracePeriod"] == 300


def test_a_changed_tag_starts_a_refresh_with_all_preferences(
    records: Account, group: Kept
) -> None:
    """The trigger `tag` is the group's tags; nothing the program says is left out."""
    tags = [group.inputs["tags"][0], {**group.inputs["tags"][1], "value": "ami-2"}]
    group.change(
        tags=tags,
        instanceRefresh={
            **group.inputs["instanceRefresh"],
            "preferences": {
                "minHealthyPercentage": 100,
                "maxHealthyPercentage": 200,
                "instanceWarmup": "7",
                "checkpointPercentages": [50, 100],
                "checkpointDelay": "9",
                "skipMatching": False,
                "scaleInProtectedInstances": "Ignore",
                "standbyInstances": "Terminate",
            },
        },
    )

    (found,) = refreshes(records, group)
    wanted = {
        "MinHealthyPercentage": 100,
        "MaxHealthyPercentage": 200,
        "InstanceWarmup": 7,
        "CheckpointPercentages": [50, 100],
        "CheckpointDelay": 9,
        "ScaleInProtectedInstances": "Ignore",
        "StandbyInstances": "Terminate",
    }
    assert {key: found["Preferences"][key] for key in wanted} == wanted


def test_a_new_template_version_alone_starts_no_refresh(
    call: Caller, records: Account, group: Kept
) -> None:
    """`$Latest` never changes: other changes of the group start none either."""
    group.change(maxSize=3)

    assert refreshes(records, group) == []
    assert records.group(group.id)["MaxSize"] == 3


def test_a_refresh_in_progress_is_cancelled_and_a_new_one_started(
    records: Account, group: Kept
) -> None:
    """As the real provider does when it meets InstanceRefreshInProgress."""
    records.pace(progression="time", seconds=2.0)
    try:
        for image in ("ami-2", "ami-3"):
            tags = [
                group.inputs["tags"][0],
                {**group.inputs["tags"][1], "value": image},
            ]
            group.change(tags=tags)
        statuses = [one["Status"] for one in refreshes(records, group)]
    finally:
        records.pace(progression="time", seconds=0.2)

    assert len(statuses) == 2
    assert statuses[1] == "Cancelled"


def test_a_removed_group_tag_is_removed(records: Account, group: Kept) -> None:
    """Not only changed ones are written."""
    group.change(tags=group.inputs["tags"][:1])

    assert [tag["Key"] for tag in records.group(group.id)["Tags"]] == ["Name"]


def test_drift_of_a_group_is_seen(records: Account, group: Kept) -> None:
    """A size changed by hand is an input that differs."""
    records.asg.update_auto_scaling_group(AutoScalingGroupName=group.id, MaxSize=9)

    assert group.drift() == {"maxSize"}
    assert group.seen()["maxSize"] == 9


@pytest.mark.parametrize(
    ("given", "properties"),
    [
        (["tag"], {"tags"}),
        (["tags"], {""}),
        (
            ["launch_template", "vpc_zone_identifiers"],
            {"launchTemplate", "vpcZoneIdentifiers"},
        ),
        ([], set()),
    ],
)
def test_triggers_are_the_providers_names(
    given: list[str], properties: set[str]
) -> None:
    """`tags` has been no trigger since version 5 of the provider."""
    assert triggers({"triggers": given}) == properties


def test_an_automatic_rollback_names_the_template_it_goes_to() -> None:
    """AWS wants a desired configuration for it."""
    asked: list[Props] = []

    class Scaling:
        """Notes what it is asked."""

        class exceptions:  # noqa: N801
            """As botocore has it."""

            ClientError = KeyError

        def start_instance_refresh(self, **arguments: Any) -> None:
            """Note it."""
            asked.append(arguments)

    given = {"preferences": {"autoRollback": True}}
    template = {"LaunchTemplateId": "lt-1", "Version": "3"}
    refresh.start_refresh(Caller(lambda name: Scaling()), "g", given, template)

    assert asked[0]["DesiredConfiguration"] == {"LaunchTemplate": template}
    assert asked[0]["Preferences"] == {"AutoRollback": True}


def test_a_wait_for_capacity_ends_when_the_engine_gives_up() -> None:
    """Cancel is seen at once, and is no error: the group exists."""
    call = Caller(lambda name: _Empty())
    call.stopping.set()

    refresh.wait_for_capacity(call, "g", {"desiredCapacity": 1})


class _Empty:
    def describe_auto_scaling_groups(self, **_: Any) -> Props:
        return {"AutoScalingGroups": [{"Instances": []}]}

    def describe_scaling_activities(self, **_: Any) -> Props:
        failed = {"StatusCode": "Failed", "StatusMessage": "no such image"}
        return {"Activities": [failed]}


def test_a_group_that_cannot_launch_says_what_aws_says() -> None:
    """The last failed scaling activity is in the error."""
    call = Caller(lambda name: _Empty())
    with pytest.raises(TimeoutError, match=r"0 of 1 instances run.*no such image"):
        refresh.wait_for_capacity(
            call, "g", {"desiredCapacity": 1, "waitForCapacityTimeout": "1ms"}
        )


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("1h30m", 5400), ("1.5s", 1.5), ("0", 0)]
)
def test_go_durations_are_read(text: str, seconds: float) -> None:
    """As the provider's inputs write them."""
    assert refresh.seconds(text) == seconds
