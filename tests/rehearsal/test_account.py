"""What the account holds from the start, and moto's EC2 put right."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from tests.rehearsal.support import Account
from tests.rehearsal.world import World


class TestSeed:
    """What the stacks and templates expect to find."""

    @pytest.mark.parametrize("stage", ["ci", "qa", "production"])
    def test_subnets(self, records: Account, stage: str) -> None:
        """Each environment has public subnets in two zones of the applications VPC."""
        wanted = [{"Name": "tag:Environment", "Values": [f"operations-{stage}"]}]
        subnets = records.ec2.describe_subnets(Filters=wanted)["Subnets"]
        assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 2
        assert {subnet["VpcId"] for subnet in subnets} == {records.vpc()}
        assert all(subnet["MapPublicIpOnLaunch"] for subnet in subnets)

    def test_base_images(self, records: Account) -> None:
        """There are two base AMIs of the owners the templates name, and no others."""
        for owner, name in (
            ("136693071363", "debian-12-amd64*"),
            ("610119931565", "docker_baseline_ami-*"),
        ):
            found = records.ec2.describe_images(
                Owners=[owner],
                Filters=[
                    {"Name": "name", "Values": [name]},
                    {"Name": "root-device-type", "Values": ["ebs"]},
                    {"Name": "virtualization-type", "Values": ["hvm"]},
                ],
            )["Images"]
            assert [image["State"] for image in found] == ["available"]
        owners = {i["OwnerId"] for i in records.ec2.describe_images()["Images"]}
        assert owners <= {"136693071363", "610119931565", "123456789012"}

    def test_keys_and_zone(self, records: Account) -> None:
        """Key pair, hosted zone and the wildcard certificate are there."""
        pairs = records.ec2.describe_key_pairs(KeyNames=["oldevops"])["KeyPairs"]
        assert len(pairs) == 1
        zones = records.client("route53").list_hosted_zones()["HostedZones"]
        assert [zone["Name"] for zone in zones] == ["odl.mit.edu."]
        found = records.client("acm").list_certificates(CertificateStatuses=["ISSUED"])[
            "CertificateSummaryList"
        ]
        assert [one["DomainName"] for one in found] == ["*.odl.mit.edu"]

    def test_pulumi_state(self, records: Account) -> None:
        """The state bucket is versioned and keeps objects."""
        s3 = records.client("s3")
        versioning = s3.get_bucket_versioning(Bucket="mitol-pulumi-state")
        assert versioning["Status"] == "Enabled"
        s3.put_object(Bucket="mitol-pulumi-state", Key="a/b.json", Body=b"{}")
        got = s3.get_object(Bucket="mitol-pulumi-state", Key="a/b.json")
        assert got["Body"].read() == b"{}"
        s3.delete_object(Bucket="mitol-pulumi-state", Key="a/b.json")

    @pytest.mark.parametrize("stage", ["ci", "qa", "production"])
    def test_secrets_keys(self, records: Account, stage: str) -> None:
        """Each stage has a key that encrypts, found by its alias."""
        kms, alias = records.client("kms"), f"alias/infrastructure-secrets-{stage}"
        sealed = kms.encrypt(KeyId=alias, Plaintext=b"word")["CiphertextBlob"]
        assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"word"


class TestImages:
    """AMIs as EC2 treats them."""

    def test_snapshot_tags_and_names(self, records: Account) -> None:
        """Tags reach image and snapshot; a name is used once; an AMI can be copied."""
        ec2, name = records.ec2, records.name("ami")
        seed = ec2.run_instances(ImageId=records.base_image(), MinCount=1, MaxCount=1)[
            "Instances"
        ][0]["InstanceId"]
        ami = ec2.create_image(
            InstanceId=seed,
            Name=name,
            TagSpecifications=[
                {"ResourceType": "image", "Tags": [{"Key": "a", "Value": "1"}]},
                {"ResourceType": "snapshot", "Tags": [{"Key": "b", "Value": "2"}]},
            ],
        )["ImageId"]
        image = ec2.describe_images(ImageIds=[ami])["Images"][0]
        snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        tags = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"]
        assert image["Tags"] == [{"Key": "a", "Value": "1"}]
        assert image["State"] == "available"
        assert tags == [{"Key": "b", "Value": "2"}]
        ec2.modify_image_attribute(ImageId=ami, Description={"Value": "described"})
        image = ec2.describe_images(ImageIds=[ami])["Images"][0]
        assert image["Description"] == "described"
        code, _ = records.fault(ec2.create_image, InstanceId=seed, Name=name)
        assert code == "InvalidAMIName.Duplicate"
        copied = ec2.copy_image(
            SourceImageId=ami, SourceRegion="us-east-1", Name=records.name("copy")
        )["ImageId"]
        for one in (ami, copied):
            ec2.deregister_image(ImageId=one)
        ec2.terminate_instances(InstanceIds=[seed])

    def test_missing_image(self, records: Account) -> None:
        """An AMI that is not there cannot be launched."""
        code, _ = records.fault(
            records.ec2.run_instances,
            ImageId="ami-00000000000000000",
            MinCount=1,
            MaxCount=1,
        )
        assert code == "InvalidAMIID.NotFound"


class TestInstances:
    """Instances without machines reach their states, too."""

    def test_states(self, records: Account) -> None:
        """Pending, running, stopped, running, terminated; twice terminated is fine."""
        ec2 = records.ec2
        made = ec2.run_instances(
            ImageId=records.base_image(),
            MinCount=1,
            MaxCount=1,
            SubnetId=records.subnets()[0],
        )["Instances"][0]
        name = made["InstanceId"]
        assert made["State"]["Name"] == "pending"
        ready = records.instance(name)
        assert ready["State"]["Name"] == "running"
        assert ready["PublicIpAddress"] == ready["PrivateIpAddress"]
        assert ready["PublicIpAddress"].startswith("127.")
        assert ready["PublicDnsName"] == ready["PublicIpAddress"]
        ec2.stop_instances(InstanceIds=[name])
        assert records.instance(name)["State"]["Name"] == "stopped"
        ec2.start_instances(InstanceIds=[name])
        assert records.instance(name)["State"]["Name"] == "running"
        ec2.reboot_instances(InstanceIds=[name])
        for _ in range(2):
            ec2.terminate_instances(InstanceIds=[name])
        assert records.instance(name)["State"]["Name"] == "terminated"
        code, _ = records.fault(
            ec2.terminate_instances, InstanceIds=["i-00000000000000000"]
        )
        assert code == "InvalidInstanceID.NotFound"

    def test_template_versions(self, world: World) -> None:
        """A version made from another has its data; user data of it is launched."""
        ec2, name = world.account.ec2, world.account.name("lt")
        encoded = base64.b64encode(b"#!/bin/sh\n").decode()
        template = ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={"ImageId": world.amis[0], "InstanceType": "t3.nano"},
        )["LaunchTemplate"]["LaunchTemplateId"]
        ec2.create_launch_template_version(
            LaunchTemplateId=template,
            SourceVersion="1",
            LaunchTemplateData={"UserData": encoded},
        )
        found = ec2.describe_launch_template_versions(
            LaunchTemplateId=template, Versions=["2"]
        )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        assert found["ImageId"] == world.amis[0]
        group = world.make(
            1, LaunchTemplate={"LaunchTemplateId": template, "Version": "2"}
        )
        ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion="1")
        assert world.account.versions(group) == "2"
        member = world.account.members(group)[0]
        data = ec2.describe_instance_attribute(InstanceId=member, Attribute="userData")
        assert data["UserData"]["Value"] == encoded


class TestGroups:
    """Groups beyond refreshes."""

    def test_deletion(self, world: World) -> None:
        """A group with instances goes only by force, and takes them with it."""
        name, asg = world.make(2), world.account.asg
        members = world.account.members(name)
        code, _ = world.account.fault(
            asg.delete_auto_scaling_group, AutoScalingGroupName=name
        )
        assert code == "ResourceInUse"
        asg.set_instance_protection(
            AutoScalingGroupName=name, InstanceIds=members, ProtectedFromScaleIn=True
        )
        asg.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        states = {world.account.instance(one)["State"]["Name"] for one in members}
        assert states <= {"shutting-down", "terminated"}

    def test_capacity(self, world: World, eventually: Callable[..., Any]) -> None:
        """Capacity keeps its limits; no call does what is suspended."""
        name, account = world.make(2), world.account
        code, _ = account.fault(
            account.asg.set_desired_capacity,
            AutoScalingGroupName=name,
            DesiredCapacity=99,
        )
        assert code == "ValidationError"
        account.asg.suspend_processes(
            AutoScalingGroupName=name, ScalingProcesses=["Launch"]
        )
        lost = account.members(name)[0]
        account.ec2.terminate_instances(InstanceIds=[lost])
        eventually(lambda: lost not in account.members(name))
        account.asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=3)
        assert account.group(name)["DesiredCapacity"] == 3
        assert len(account.members(name)) == 1
        account.asg.resume_processes(AutoScalingGroupName=name)
        eventually(lambda: len(account.members(name)) == 3)
        account.asg.suspend_processes(
            AutoScalingGroupName=name, ScalingProcesses=["Terminate"]
        )
        account.asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
        assert len(account.members(name)) == 3
        account.asg.resume_processes(AutoScalingGroupName=name)
        eventually(lambda: len(account.members(name)) == 1)

    def test_warmup_is_kept(self, world: World) -> None:
        """DefaultInstanceWarmup is shown, and refreshes use it."""
        name = world.make(1, DefaultInstanceWarmup=123)
        assert world.account.group(name)["DefaultInstanceWarmup"] == 123
        world.account.asg.start_instance_refresh(AutoScalingGroupName=name)
        _, last = world.account.watch(name)
        assert last["Preferences"]["InstanceWarmup"] == 123

    def test_detached_leaves_its_targets(
        self, world: World, targets: str, eventually: Callable[..., Any]
    ) -> None:
        """A detached instance runs on, but gets no requests any more."""
        name, account = world.make(2, TargetGroupARNs=[targets]), world.account
        eventually(lambda: len(world.registered(targets)) == 2)
        gone = account.members(name)[0]
        account.asg.detach_instances(
            AutoScalingGroupName=name,
            InstanceIds=[gone],
            ShouldDecrementDesiredCapacity=True,
        )
        assert gone not in world.registered(targets)
        assert account.instance(gone)["State"]["Name"] == "running"
        account.ec2.terminate_instances(InstanceIds=[gone])


def test_balancers_have_loopback_addresses(records: Account) -> None:
    """A load balancer's DNS name is its address on loopback."""
    made = records.elb.create_load_balancer(
        Name=records.name("lb"), Subnets=records.subnets()
    )["LoadBalancers"][0]
    first, _, third, _ = made["DNSName"].split(".")
    assert first == "127"
    assert 200 <= int(third) <= 250
    records.elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
