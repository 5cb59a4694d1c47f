"""Clouds of containers: what a killed one leaves, two at once, AWS's own order."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from olrunbook.adapters.docker.command import docker
from olrunbook.rehearsal import lifecycle
from olrunbook.rehearsal.places import LABEL, Places
from olrunbook.rehearsal.record import DaemonRecord, read_record
from tests.rehearsal.support import FAST, REAL, Account, cloud_at
from tests.rehearsal.web import launch

pytestmark = pytest.mark.rehearsal


def labelled(places: Places) -> list[str]:
    """Return the names of a cloud's containers."""
    wanted = f"label={LABEL}={places.checkout}"
    return docker("ps", "-a", "--filter", wanted, "--format", "{{.Names}}").split()


def listeners(block: int) -> list[str]:
    """Return the addresses somebody listens on in a block."""
    return [
        f"{one.laddr.ip}:{one.laddr.port}"
        for one in psutil.net_connections(kind="tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.ip.startswith(f"127.{block}.")
    ]


def helpers(places: Places) -> list[int]:
    """Return the ids of processes that work for a cloud beside its daemon."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if places.checkout in words and "docker" in words:
            found.append(process.pid)
    return found


def busy(account: Account, eventually: Callable[..., Any]) -> str:
    """Start an instance and a listening balancer; return the instance's id."""
    instance = launch(
        account,
        account.base_image(),
        SecurityGroupIds=[account.security_group(22)],
        SubnetId=account.subnets()[0],
    )
    eventually(lambda: account.instance(instance)["State"]["Name"] == "running")
    balancer = account.elb.create_load_balancer(
        Name=account.name("lb"), Subnets=account.subnets()
    )["LoadBalancers"][0]
    fixed = {
        "StatusCode": "200",
        "ContentType": "text/plain",
        "MessageBody": 'a "b" $c',
    }
    account.elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": fixed}],
    )
    block = int(balancer["DNSName"].split(".")[1])
    eventually(lambda: f"{balancer['DNSName']}:80" in listeners(block))
    return instance


def test_kill_is_cleaned_up_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    """What a killed cloud left is named by status and removed by the next up."""
    monkeypatch.setenv("OLRUNBOOK_STATE", str(tmp_path / "state"))
    root = tmp_path / "project"
    root.mkdir()
    places = Places.of(root)
    try:
        account = Account(lifecycle.up(root, settings=REAL))
        instance = busy(account, eventually)
        record = read_record(places.daemon_file)
        assert isinstance(record, DaemonRecord)
        os.kill(record.pid, signal.SIGKILL)
        eventually(lambda: record.process() is None)
        eventually(lambda: not helpers(places))  # they die with it
        found = lifecycle.status(root)
        assert not found.up
        assert instance in found.leftovers
        assert len(found.leftovers) == 2  # and the balancer
        lifecycle.up(root, settings=REAL)
        assert labelled(places) == []
        block = read_record(places.daemon_file)
        assert block is not None
    finally:
        removed = lifecycle.down(root, images=True)
    assert removed.process
    assert labelled(places) == []
    assert helpers(places) == []
    assert listeners(record.block) == []
    assert not places.root.parent.exists()


def test_down_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    """Down with an instance and a balancer alive leaves neither, nor a listener."""
    monkeypatch.setenv("OLRUNBOOK_STATE", str(tmp_path / "state"))
    places = Places.of(tmp_path)
    networks = docker("network", "ls", "-q")
    try:
        account = Account(lifecycle.up(tmp_path, settings=REAL))
        record = read_record(places.daemon_file)
        instance = busy(account, eventually)
        ami = account.ec2.create_image(InstanceId=instance, Name="one")["ImageId"]
        account.ec2.get_waiter("image_available").wait(ImageIds=[ami])
    finally:
        removed = lifecycle.down(tmp_path)
    assert record is not None
    assert len(removed.containers) == 2
    assert [image.rpartition(":")[2] for image in removed.kept_images] == [ami]
    assert labelled(places) == []
    assert helpers(places) == []
    assert listeners(record.block) == []
    assert docker("network", "ls", "-q") == networks
    assert [path.name for path in places.root.iterdir()] == ["amis.json"]
    # A cloud of records keeps what is not its own.
    lifecycle.up(tmp_path, settings=FAST)
    again = lifecycle.down(tmp_path)
    assert again.kept_images == removed.kept_images
    assert ami in places.amis_file.read_text()
    # An image without its record is nobody's.
    places.amis_file.unlink()
    assert lifecycle.down(tmp_path).images == removed.kept_images
    assert not places.root.parent.exists()


def test_two_checkouts_do_not_meet(
    containers: Account, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    """A second cloud beside the first has addresses, instances and AMIs of its own."""
    with cloud_at(tmp_path, REAL) as other:
        assert other.target.endpoint != containers.target.endpoint
        for account in (containers, other):
            one = launch(account, account.base_image())
            eventually(
                lambda a=account, i=one: a.instance(i)["State"]["Code"] == 16, 60
            )
        code, _ = other.fault(
            other.ec2.describe_instances, InstanceIds=[one[:-1] + "x"]
        )
        assert code == "InvalidInstanceID.NotFound"
        mine = {i["InstanceId"] for i in _instances(containers)}
        theirs = {i["InstanceId"] for i in _instances(other)}
        assert not mine & theirs
    # The other's down has taken nothing of ours.
    assert _instances(containers)[-1]["State"]["Name"] == "running"
    containers.ec2.terminate_instances(InstanceIds=list(mine))


def test_aws_order(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    """Instances serve before they are healthy, and go after their grace."""
    settings = REAL.model_copy(update={"aws_order": True})
    with cloud_at(tmp_path, settings) as account:
        name = account.name("order")
        template = account.ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={
                "ImageId": account.base_image(),
                "InstanceType": "t3.nano",
            },
        )["LaunchTemplate"]["LaunchTemplateId"]
        targets = account.elb.create_target_group(
            Name=name,
            Protocol="HTTP",
            Port=80,
            VpcId=account.vpc(),
            HealthCheckIntervalSeconds=5,
            UnhealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        account.asg.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=1,
            DesiredCapacity=1,
            LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
            VPCZoneIdentifier=",".join(account.subnets()),
            TargetGroupARNs=[targets],
            HealthCheckType="ELB",
            HealthCheckGracePeriod=4,
        )
        first = account.members(name)[0]
        state = "LifecycleState"
        eventually(
            lambda: account.group(name)["Instances"][0][state] == "InService", 60
        )
        health = account.elb.describe_target_health(TargetGroupArn=targets)
        found = health["TargetHealthDescriptions"][0]["TargetHealth"]["State"]
        assert found in ("initial", "unhealthy")
        eventually(lambda: first not in account.members(name))


def test_bridge(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    """On the bridge an instance has docker's address and publishes nothing."""
    settings = REAL.model_copy(update={"bridge": True})
    with cloud_at(tmp_path, settings) as account:
        instance = launch(
            account,
            account.base_image(),
            SecurityGroupIds=[account.security_group(22)],
            SubnetId=account.subnets()[0],
        )
        eventually(lambda: account.instance(instance)["State"]["Code"] == 16)
        address = account.instance(instance)["PublicIpAddress"]
        assert not address.startswith("127.")
        with socket.create_connection((address, 22), 5) as connection:
            assert connection.recv(4) == b"SSH-"
        block = int(account.target.endpoint.split(".")[1])
        assert not [one for one in listeners(block) if one.endswith(":22")]


def _instances(account: Account) -> list[dict[str, Any]]:
    found = account.ec2.describe_instances()["Reservations"]
    return [one for reservation in found for one in reservation["Instances"]]
