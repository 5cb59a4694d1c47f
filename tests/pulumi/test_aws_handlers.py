"""Each handler against the cloud of records: make, read, drift, change, remove."""

from __future__ import annotations

import json

import pytest

from olrunbook.rehearsal.providers import aws
from olrunbook.rehearsal.providers.handler import Caller
from tests.pulumi.kept import TAGS, Kept
from tests.rehearsal.support import Account

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
ALLOW = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}],
    }
)


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
    named = {"filters": [{"name": "name", "values": ["debian-12-*"]}]}
    newest = find["aws:ec2/getAmi:getAmi"](call, {**named, "mostRecent": True})
    ids = find["aws:ec2/getAmiIds:getAmiIds"](call, named)["ids"]
    older = find["aws:ec2/getAmiIds:getAmiIds"](call, {**named, "sortAscending": True})
    assert ids[0] == newest["id"]
    assert ids == older["ids"][::-1]
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
