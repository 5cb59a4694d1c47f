"""Each handler against the cloud of records: make, read, drift, change, remove."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from olrunbook.rehearsal.providers import aws
from olrunbook.rehearsal.providers.aws import refresh
from olrunbook.rehearsal.providers.aws.autoscaling import triggers
from olrunbook.rehearsal.providers.handler import Caller, is_gone
from olrunbook.rehearsal.providers.values import Props
from tests.rehearsal.support import Account

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
ALLOW = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}],
    }
)
TAGS = {"OU": "operations", "Name": "thing"}
PREFIX = "aws:"


@pytest.fixture
def call(records: Account, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Return a caller of the cloud, as the plugin makes one of its environment."""
    for name, value in records.target.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return aws.connect({"region": "us-east-1"})


class Kept:
    """One resource, as the engine would keep it.

    Args:
        call: API clients.
        token: Its type, without `aws:`.
        inputs: What the program gives.

    """

    def __init__(self, call: Caller, token: str, inputs: Props) -> None:
        self.call, self.handler = call, aws.RESOURCES[PREFIX + token]
        assert self.handler.check(inputs) == []
        self.inputs = {**inputs, "tagsAll": inputs.get("tags") or {}}
        self.id = self.handler.create(call, self.inputs)
        self.handler.complete(call, self.id, self.inputs)
        self.state = self.seen()

    def seen(self) -> Props:
        """Return it as it is."""
        found = self.handler.read(self.call, self.id, self.inputs)
        assert found is not None
        return found

    def drift(self) -> set[str]:
        """Return the inputs that are no longer as the program gave them."""
        seen = self.seen()
        return {key for key in self.inputs if seen.get(key) != self.inputs[key]}

    def change(self, **inputs: Any) -> None:
        """Update some inputs."""
        new = {**self.inputs, **inputs}
        if "tags" in inputs:
            new["tagsAll"] = inputs["tags"] or {}
        self.handler.update(self.call, self.id, self.inputs, new, set(inputs))
        self.inputs = new

    def delete(self) -> None:
        """Remove it."""
        self.handler.delete(self.call, self.id, self.seen())

    def gone(self) -> bool:
        """Whether it is no longer there."""
        try:
            return self.handler.read(self.call, self.id, self.inputs) is None
        except Exception as error:  # noqa: BLE001
            return is_gone(error)


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


def test_a_security_group_has_the_rules_of_the_program(
    call: Caller, records: Account
) -> None:
    """Also the egress: none given means none; peers may be groups."""
    world = Kept(
        call,
        "ec2/securityGroup:SecurityGroup",
        {
            "name": records.name("sg"),
            "vpcId": records.vpc(),
            "ingress": [
                {
                    "protocol": "tcp",
                    "fromPort": 443,
                    "toPort": 443,
                    "cidrBlocks": ["0.0.0.0/0"],
                }
            ],
            "tags": TAGS,
        },
    )
    inner = Kept(
        call,
        "ec2/securityGroup:SecurityGroup",
        {
            "name": records.name("sg"),
            "vpcId": records.vpc(),
            "ingress": [
                {
                    "protocol": "tcp",
                    "fromPort": 443,
                    "toPort": 443,
                    "securityGroups": [world.id],
                }
            ],
            "egress": [
                {
                    "protocol": "-1",
                    "fromPort": 0,
                    "toPort": 0,
                    "cidrBlocks": ["0.0.0.0/0"],
                }
            ],
        },
    )
    assert world.drift() == inner.drift() == set()
    assert world.seen().get("egress") is None

    records.ec2.authorize_security_group_ingress(
        GroupId=world.id,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 22,
                "ToPort": 22,
                "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
            }
        ],
    )
    assert world.drift() == {"ingress"}
    world.change(ingress=world.inputs["ingress"])
    assert world.drift() == set()
    inner.delete()
    world.delete()
    assert world.gone()


def test_a_balancer_its_target_group_and_its_listener(
    call: Caller, records: Account
) -> None:
    """Made, read without drift, changed, removed."""
    target_group = Kept(
        call,
        "lb/targetGroup:TargetGroup",
        {
            "name": records.name("tg"),
            "port": 443,
            "protocol": "HTTPS",
            "vpcId": records.vpc(),
            "healthCheck": {
                "path": "/version",
                "protocol": "HTTPS",
                "matcher": "200",
                "interval": 10,
                "healthyThreshold": 2,
                "port": "443",
            },
            "deregistrationDelay": 30,
            "tags": TAGS,
        },
    )
    balancer = Kept(
        call,
        "lb/loadBalancer:LoadBalancer",
        {
            "name": records.name("lb"),
            "loadBalancerType": "application",
            "subnets": records.subnets(),
            "securityGroups": [records.security_group(443)],
            "idleTimeout": 60,
            "tags": TAGS,
        },
    )
    listener = Kept(
        call,
        "lb/listener:Listener",
        {
            "loadBalancerArn": balancer.id,
            "port": 80,
            "protocol": "HTTP",
            "defaultActions": [{"type": "forward", "targetGroupArn": target_group.id}],
        },
    )
    assert target_group.drift() == balancer.drift() == listener.drift() == set()
    assert balancer.state["dnsName"]

    target_group.change(
        healthCheck={**target_group.inputs["healthCheck"], "path": "/ok"}
    )
    balancer.change(tags={"OU": "data"}, idleTimeout=90)
    listener.change(port=8080)
    assert target_group.drift() == balancer.drift() == listener.drift() == set()

    records.elb.modify_target_group(
        TargetGroupArn=target_group.id, HealthCheckPath="/x"
    )
    assert target_group.drift() == {"healthCheck"}
    for kept in (listener, balancer, target_group):
        kept.delete()
        assert kept.gone()


def test_a_role_its_policy_and_its_profile(call: Caller, records: Account) -> None:
    """Made, read without drift, changed, removed; old versions of a policy too."""
    role = Kept(
        call,
        "iam/role:Role",
        {"name": records.name("role"), "assumeRolePolicy": TRUST, "tags": TAGS},
    )
    policy = Kept(
        call,
        "iam/policy:Policy",
        {"name": records.name("policy"), "policy": ALLOW, "description": "d"},
    )
    attached = Kept(
        call,
        "iam/rolePolicyAttachment:RolePolicyAttachment",
        {"role": role.id, "policyArn": policy.id},
    )
    profile = Kept(
        call, "iam/instanceProfile:InstanceProfile", {"name": role.id, "role": role.id}
    )
    for kept in (role, policy, profile):
        assert kept.drift() - {"tagsAll", "tags"} == set()

    allow = {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    policy.change(policy=document)
    role.change(tags={"OU": "data"}, description="another")
    assert policy.drift() == set()
    assert role.seen()["tags"] == {"OU": "data"}

    for kept in (profile, attached, policy, role):
        kept.delete()
        assert kept.gone()


def test_a_record_points_where_the_program_says(call: Caller, records: Account) -> None:
    """A change by hand is seen."""
    zone = aws.FUNCTIONS["aws:route53/getZone:getZone"](call, {"name": "odl.mit.edu"})
    record = Kept(
        call,
        "route53/record:Record",
        {
            "zoneId": zone["zoneId"],
            "name": f"{records.name('tika')}.odl.mit.edu",
            "type": "CNAME",
            "ttl": 60,
            "records": ["lb.example.org"],
        },
    )
    assert record.drift() - {"tagsAll"} == set()

    record.change(records=["other.example.org"])
    assert record.drift() - {"tagsAll"} == set()
    record.delete()
    assert record.gone()


def test_lookups_find_what_the_account_holds(call: Caller) -> None:
    """VPC, subnets, certificate, caller; and several that fit are an error."""
    find = aws.FUNCTIONS
    vpc = find["aws:ec2/getVpc:getVpc"](
        call, {"filters": [{"name": "tag:Name", "values": ["applications_vpc"]}]}
    )
    wanted = [{"name": "vpc-id", "values": [vpc["id"]]}]
    subnets = find["aws:ec2/getSubnets:getSubnets"](call, {"filters": wanted})["ids"]
    one = find["aws:ec2/getSubnet:getSubnet"](call, {"id": subnets[0]})
    certificate = find["aws:acm/getCertificate:getCertificate"](
        call, {"domain": "*.odl.mit.edu", "mostRecent": True, "statuses": ["ISSUED"]}
    )
    caller = find["aws:index/getCallerIdentity:getCallerIdentity"](call, {})

    assert len(subnets) >= 2
    assert one["availabilityZone"].startswith("us-east-1")
    assert certificate["arn"].startswith("arn:aws:acm:")
    assert caller["accountId"] == "123456789012"
    with pytest.raises(LookupError, match="VPCs matched"):
        find["aws:ec2/getVpc:getVpc"](call, {})
    with pytest.raises(LookupError, match="returned no results"):
        find["aws:ec2/getAmi:getAmi"](
            call, {"filters": [{"name": "name", "values": ["no-such-*"]}]}
        )


def test_a_policy_document_is_made_without_a_call(call: Caller) -> None:
    """Pure: the same statements make the same text."""
    args = {
        "statements": [
            {
                "actions": ["sts:AssumeRole"],
                "principals": [
                    {"type": "Service", "identifiers": ["ec2.amazonaws.com"]}
                ],
            }
        ]
    }
    found = aws.FUNCTIONS["aws:iam/getPolicyDocument:getPolicyDocument"](call, args)

    assert json.loads(found["json"])["Statement"] == [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "ec2.amazonaws.com"},
        }
    ]
