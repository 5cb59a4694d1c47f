"""Instances as containers behind a real balancer: a few light ones, on the base image."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from olrunbook.adapters.docker import docker
from tests.rehearsal.support import Account

pytestmark = pytest.mark.rehearsal

# The base image has perl's core modules, but neither python's http nor its ssl.
SERVER = """#!/bin/sh
cat >/opt/serve.pl <<'PERL'
use IO::Socket::INET;
$SIG{CHLD} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1);
while (1) {
    my $client = $server->accept or next;
    next if fork;
    my ($length, $got) = (0, 0);
    while (my $line = <$client>) {
        $length = $1 if $line =~ /^content-length: *(\\d+)/i;
        last if $line =~ /^\\r?$/;
    }
    while ($got < $length) {
        my $read = read($client, my $part, $length - $got) or last;
        $got += $read;
    }
    my $body = $length ? $got : 'hello';
    print $client "HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n";
    print $client "Content-Length: ", length($body), "\\r\\n\\r\\n$body";
    exit;
}
PERL
systemd-run --unit=web perl /opt/serve.pl
"""
SECURE = """#!/bin/sh
cd /root
openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -days 2 -subj /CN=instance
systemd-run --unit=web --working-directory=/root \\
    openssl s_server -accept 443 -cert c -key k -www
"""


@dataclass
class Web:
    """A group of two behind an HTTPS load balancer."""

    account: Account
    name: str
    targets: str
    balancer: str
    address: str
    in_service_s: float = 0.0

    def states(self) -> list[str]:
        """Return the lifecycle states of the group's instances."""
        members = self.account.group(self.name)["Instances"]
        return [member["LifecycleState"] for member in members]

    def get(self, path: str = "/") -> tuple[int, str, str]:
        """Return status, body and the instance that answered, through the balancer."""
        opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=unverified()),
            urllib.request.ProxyHandler({}),
        )
        with opener.open(f"https://{self.address}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode(), answer.headers["x-ol-target"]


def unverified() -> ssl.SSLContext:
    """Return a TLS context for the rehearsal's self-made certificates."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def wait_for(condition: Callable[[], Any], timeout_s: float) -> Any:
    """Wait for a condition, outside of a test's own fixtures."""
    end = time.monotonic() + timeout_s
    while not (got := condition()):
        assert time.monotonic() < end, f"not true within {timeout_s} s"
        time.sleep(0.1)
    return got


@pytest.fixture(scope="module")
def web(containers: Account) -> Web:
    """Return two light instances in service behind an HTTPS load balancer."""
    account, name = containers, containers.name("web")
    group = account.security_group(8080)
    template = account.ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={
            "ImageId": account.base_image(),
            "InstanceType": "t3.nano",
            "NetworkInterfaces": [
                {
                    "DeviceIndex": 0,
                    "Groups": [group],
                    "AssociatePublicIpAddress": True,
                }
            ],
            "UserData": base64.b64encode(SERVER.encode()).decode(),
        },
    )["LaunchTemplate"]["LaunchTemplateId"]
    targets = account.elb.create_target_group(
        Name=name,
        Protocol="HTTP",
        Port=8080,
        VpcId=account.vpc(),
        HealthCheckIntervalSeconds=5,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=2,
        Matcher={"HttpCode": "200-299"},
    )["TargetGroups"][0]["TargetGroupArn"]
    balancer = account.elb.create_load_balancer(Name=name, Subnets=account.subnets())
    certificates = account.client("acm").list_certificates()["CertificateSummaryList"]
    arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    account.elb.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": certificates[0]["CertificateArn"]}],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}],
    )
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    account.elb.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "redirect", "RedirectConfig": redirect}],
    )
    account.asg.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=1,
        MaxSize=4,
        DesiredCapacity=2,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "$Latest"},
        VPCZoneIdentifier=",".join(account.subnets()),
        TargetGroupARNs=[targets],
        HealthCheckType="ELB",
        HealthCheckGracePeriod=30,
    )
    address = balancer["LoadBalancers"][0]["DNSName"]
    made = Web(account, name, targets, arn, address)
    began = time.monotonic()
    wait_for(lambda: made.states() == ["InService"] * 2, 90)
    made.in_service_s = time.monotonic() - began
    return made


def test_instance_is_reachable_and_seeded(
    containers: Account, eventually: Callable[..., Any]
) -> None:
    """A launched instance answers as sshd on its own address; user data has run."""
    data = "#cloud-config\nwrite_files:\n- {path: /etc/x, content: hi}\nruncmd: [touch /ran]\n"
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
    eventually(lambda: containers.instance(name)["State"]["Name"] == "running", 60)
    address = containers.instance(name)["PublicIpAddress"]
    assert address.startswith("127.")
    with socket.create_connection((address, 22), 5) as connection:
        assert connection.recv(4) == b"SSH-"
    eventually(lambda: _inside(name, "cat /etc/x; ls /ran || true") == "hi/ran", 20)
    key = _inside(name, "cat /home/admin/.ssh/authorized_keys")
    assert key.startswith("ssh-ed25519 ")
    # Nothing of the engine is to be seen in there.
    assert _inside(name, "ls /var/run/docker.sock 2>/dev/null || echo none") == "none"
    containers.ec2.terminate_instances(InstanceIds=[name])
    eventually(lambda: containers.instance(name)["State"]["Name"] == "terminated", 30)
    assert name not in docker("ps", "--all", "--format", "{{.Names}}").split()


def test_image_has_what_was_written(
    containers: Account, eventually: Callable[..., Any]
) -> None:
    """An instance of an AMI made from another finds that one's files; stop and start."""
    account = containers
    first = _launch(account, account.base_image())
    eventually(lambda: account.instance(first)["State"]["Name"] == "running", 60)
    _inside(first, "echo v1 >/etc/marker")
    account.ec2.stop_instances(InstanceIds=[first])
    eventually(lambda: account.instance(first)["State"]["Name"] == "stopped", 60)
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
    code, _ = account.fault(_launch, account=account, image=account.name("ami"))
    assert code == "InvalidAMIID.NotFound"
    account.ec2.get_waiter("image_available").wait(
        ImageIds=[ami], WaiterConfig={"Delay": 1}
    )
    second = _launch(account, ami)
    eventually(lambda: account.instance(second)["State"]["Name"] == "running", 60)
    assert _inside(second, "cat /etc/marker") == "v1"
    host_key = "cat /etc/ssh/ssh_host_ed25519_key.pub 2>/dev/null || true"
    fresh = eventually(lambda: _inside(second, host_key))
    account.ec2.start_instances(InstanceIds=[first])
    eventually(lambda: account.instance(first)["State"]["Name"] == "running", 60)
    assert _inside(first, host_key) != fresh
    account.ec2.terminate_instances(InstanceIds=[first, second])
    account.ec2.deregister_image(ImageId=ami)
    eventually(lambda: not docker("images", "-q", "--filter", f"label=olrunbook.ami={ami}"))


def test_group_serves_over_https(web: Web) -> None:
    """Both instances answer through the balancer, which names them; http redirects."""
    seen = {web.get()[2] for _ in range(10)}
    assert seen == set(web.account.members(web.name))
    assert web.get()[:2] == (200, "hello")
    connection = http.client.HTTPConnection(web.address, 80, timeout=5)
    connection.request("GET", "/q")
    answer = connection.getresponse()
    assert answer.status == 301
    assert answer.getheader("location", "").startswith("https://")
    connection.close()
    assert web.address.split(".")[2] == "200"
    certificate = ssl.get_server_certificate((web.address, 443))
    assert "BEGIN CERTIFICATE" in certificate


def test_targets_may_speak_https(
    containers: Account, eventually: Callable[..., Any]
) -> None:
    """A target group of HTTPS targets is checked and served without verifying them."""
    account, name = containers, containers.name("tls")
    instance = _launch(
        account,
        account.base_image(),
        UserData=SECURE,
        SecurityGroupIds=[account.security_group(443)],
        SubnetId=account.subnets()[0],
    )
    targets = account.elb.create_target_group(
        Name=name,
        Protocol="HTTPS",
        Port=443,
        VpcId=account.vpc(),
        HealthCheckIntervalSeconds=5,
        HealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    balancer = account.elb.create_load_balancer(Name=name, Subnets=account.subnets())
    arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    account.elb.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": targets}],
    )
    eventually(lambda: account.instance(instance)["State"]["Name"] == "running", 60)
    account.elb.register_targets(TargetGroupArn=targets, Targets=[{"Id": instance}])

    def health() -> str:
        found = account.elb.describe_target_health(TargetGroupArn=targets)
        return str(found["TargetHealthDescriptions"][0]["TargetHealth"]["State"])

    eventually(lambda: health() == "healthy", 30)
    address = balancer["LoadBalancers"][0]["DNSName"]

    def status() -> int:
        connection = http.client.HTTPConnection(address, 80, timeout=5)
        connection.request("GET", "/")
        return connection.getresponse().status

    eventually(lambda: status() == 200, 10)
    account.elb.delete_load_balancer(LoadBalancerArn=arn)
    account.ec2.terminate_instances(InstanceIds=[instance])


def test_uploads_finish_when_their_instance_goes(
    web: Web, eventually: Callable[..., Any]
) -> None:
    """Uploads in flight end well while their target drains; then it is gone."""
    answers: list[tuple[int, str, str]] = []

    def upload() -> None:
        connection = http.client.HTTPSConnection(
            web.address, 443, timeout=20, context=unverified()
        )
        connection.putrequest("PUT", "/slow")
        connection.putheader("Content-Length", "8000")
        connection.endheaders()
        for _ in range(8):
            connection.send(b"x" * 1000)
            threading.Event().wait(0.4)  # a slow upload is what this is about
        answer = connection.getresponse()
        answers.append(
            (answer.status, answer.read().decode(), answer.getheader("x-ol-target", ""))
        )
        connection.close()

    threads = [threading.Thread(target=upload) for _ in range(4)]
    for thread in threads:
        thread.start()
    threading.Event().wait(0.6)  # all four are under way
    victim = web.account.members(web.name)[0]
    web.account.asg.terminate_instance_in_auto_scaling_group(
        InstanceId=victim, ShouldDecrementDesiredCapacity=False
    )
    states = set()
    while any(thread.is_alive() for thread in threads):
        health = web.account.elb.describe_target_health(
            TargetGroupArn=web.targets, Targets=[{"Id": victim}]
        )["TargetHealthDescriptions"][0]["TargetHealth"]["State"]
        states.add(health)
    assert [answer[:2] for answer in answers] == [(200, "8000")] * 4
    assert victim in {answer[2] for answer in answers}
    assert "draining" in states
    eventually(lambda: web.states() == ["InService"] * 2, 60)
    eventually(lambda: victim not in docker("ps", "-a", "--format", "{{.Names}}"), 20)


def test_poweroff_is_replaced(web: Web, eventually: Callable[..., Any]) -> None:
    """An instance that ends by itself is replaced by its group."""
    victim = web.account.members(web.name)[0]
    docker("exec", victim, "systemctl", "poweroff")
    eventually(lambda: victim not in web.account.members(web.name), 30)
    eventually(lambda: web.states() == ["InService"] * 2, 60)
    found = web.account.asg.describe_scaling_activities(AutoScalingGroupName=web.name)
    assert any(victim in one["Description"] for one in found["Activities"])


def test_unhealthy_is_replaced_after_its_grace(
    web: Web, eventually: Callable[..., Any]
) -> None:
    """An instance whose service stops is replaced once its grace period is over."""
    web.account.asg.update_auto_scaling_group(
        AutoScalingGroupName=web.name, HealthCheckGracePeriod=1
    )
    victim = web.account.members(web.name)[0]
    docker("exec", victim, "systemctl", "stop", "web")
    eventually(lambda: victim not in web.account.members(web.name), 30)
    web.account.asg.update_auto_scaling_group(
        AutoScalingGroupName=web.name, HealthCheckGracePeriod=30
    )
    eventually(lambda: web.states() == ["InService"] * 2, 60)


def test_balancer_comes_back(web: Web, eventually: Callable[..., Any]) -> None:
    """A haproxy that is killed is started again."""
    listing = docker("ps", "--filter", "name=-lb-", "--format", "{{.Names}}").split()
    mine = [name for name in listing if _serves(name, web.address)]
    docker("kill", mine[0])

    def answers() -> bool:
        try:
            return web.get()[0] == 200
        except OSError:
            return False

    eventually(answers, 20)


def test_everything_goes_with_the_group(
    web: Web, eventually: Callable[..., Any]
) -> None:
    """Deleting group and balancer leaves no container of them."""
    members = web.account.members(web.name)
    web.account.asg.delete_auto_scaling_group(
        AutoScalingGroupName=web.name, ForceDelete=True
    )
    web.account.elb.delete_load_balancer(LoadBalancerArn=web.balancer)
    eventually(lambda: not set(members) & set(_names()), 30)
    eventually(lambda: not [name for name in _names() if _serves(name, web.address)])


def _launch(account: Account, image: str, **more: Any) -> str:
    made = account.ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.nano", **more
    )
    return str(made["Instances"][0]["InstanceId"])


def _inside(container: str, script: str) -> str:
    return docker("exec", container, "sh", "-c", script).replace("\n", "")


def _names() -> list[str]:
    return docker("ps", "--all", "--format", "{{.Names}}").split()


def _serves(container: str, address: str) -> bool:
    if "-lb-" not in container:
        return False
    return address in docker("exec", container, "cat", "/run/balancer/haproxy.cfg")
