"""Instances as containers, AMIs as images."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from olrunbook.adapters.docker.command import docker
from olrunbook.artifacts.console import DROP_IN
from tests.rehearsal.support import Account
from tests.rehearsal.web import inside, launch

pytestmark = pytest.mark.rehearsal


def test_instance_is_reachable_and_seeded(
    containers: Account, eventually: Callable[..., Any]
) -> None:
    """A launched instance answers as sshd on its own address; user data has run."""
    files = "write_files:\n- {path: /etc/x, content: hi}"
    data = f"#cloud-config\n{files}\nruncmd: [touch /ran]\n"
    instance = containers.ec2.run_instances(
        ImageId=containers.base_image(),
        MinCount=1,
        MaxCount=1,
        InstanceType="t3.nano",
        KeyName="oldevops",
        SubnetId=containers.subnets()[0],
        SecurityGroupIds=[containers.security_group(22)],
        UserData=data,
    )["Instances"][0]
    assert instance["State"]["Name"] == "pending"
    name = instance["InstanceId"]
    eventually(lambda: containers.instance(name)["State"]["Name"] == "running")
    address = containers.instance(name)["PublicIpAddress"]
    assert address.startswith("127.")
    with socket.create_connection((address, 22), 5) as connection:
        assert connection.recv(4) == b"SSH-"
    eventually(lambda: inside(name, "cat /etc/x; ls /ran || true") == "hi/ran")
    key = inside(name, "cat /home/admin/.ssh/authorized_keys")
    assert key.startswith("ssh-ed25519 ")
    # Nothing of the engine is to be seen in there.
    assert inside(name, "ls /var/run/docker.sock 2>/dev/null || echo none") == "none"
    containers.ec2.terminate_instances(InstanceIds=[name])
    eventually(lambda: containers.instance(name)["State"]["Name"] == "terminated")
    assert name not in docker("ps", "--all", "--format", "{{.Names}}").split()


def test_image_has_what_was_written(
    containers: Account, eventually: Callable[..., Any]
) -> None:
    """An instance of an AMI made from another has that one's files."""
    account = containers
    first = launch(account, account.base_image())
    eventually(lambda: account.instance(first)["State"]["Name"] == "running")
    inside(first, "echo v1 >/etc/marker")
    account.ec2.stop_instances(InstanceIds=[first])
    eventually(lambda: account.instance(first)["State"]["Name"] == "stopped")
    ami = account.ec2.create_image(
        InstanceId=first,
        Name=account.name("ami"),
        TagSpecifications=[
            {"ResourceType": "image", "Tags": [{"Key": "app", "Value": "x"}]},
            {"ResourceType": "snapshot", "Tags": [{"Key": "Name", "Value": "s"}]},
        ],
    )["ImageId"]
    images = account.ec2.describe_images(Owners=["self"])["Images"]
    assert {image["State"] for image in images if image["ImageId"] == ami} <= {
        "pending",
        "available",
    }
    code, _ = account.fault(launch, account=account, image=account.name("ami"))
    assert code == "InvalidAMIID.NotFound"
    account.ec2.get_waiter("image_available").wait(
        ImageIds=[ami], WaiterConfig={"Delay": 1}
    )
    second = launch(account, ami)
    eventually(lambda: account.instance(second)["State"]["Name"] == "running")
    assert inside(second, "cat /etc/marker") == "v1"
    host_key = "cat /etc/ssh/ssh_host_ed25519_key.pub 2>/dev/null || true"
    fresh = eventually(lambda: inside(second, host_key))
    account.ec2.start_instances(InstanceIds=[first])
    eventually(lambda: account.instance(first)["State"]["Name"] == "running")
    assert inside(first, host_key) != fresh
    account.ec2.terminate_instances(InstanceIds=[first, second])
    account.ec2.deregister_image(ImageId=ami)
    eventually(
        lambda: not docker("images", "-q", "--filter", f"label=olrunbook.ami={ami}")
    )


def test_a_failed_unit_is_on_the_console(
    containers: Account, eventually: Callable[..., Any]
) -> None:
    """By the drop-in of our images; a console is kept when its instance is gone."""
    unit = "[Service]\nUser=nobody\nExecStart=/bin/sh -c 'echo woe; exit 3'\n"
    files = {
        "/etc/systemd/system/service.d/console.conf": DROP_IN,
        "/etc/systemd/system/bad.service": unit,
    }
    entries = [
        {"path": path, "content": base64.b64encode(text.encode()).decode()}
        | {"encoding": "b64"}
        for path, text in files.items()
    ]
    commands = ["systemctl daemon-reload", "systemctl start bad.service || true"]
    data = "#cloud-config\n" + json.dumps({"write_files": entries, "runcmd": commands})
    name = launch(containers, containers.base_image(), UserData=data)

    def console() -> str:
        return str(containers.ec2.get_console_output(InstanceId=name)["Output"])

    eventually(lambda: "woe" in console())
    assert "== bad.service ended: exit-code 3" in console()
    containers.ec2.terminate_instances(InstanceIds=[name])
    eventually(lambda: containers.instance(name)["State"]["Name"] == "terminated")
    assert "woe" in console()
