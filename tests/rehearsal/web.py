"""Light instances to balance: a group of two behind HTTPS, on the base image."""

from __future__ import annotations

import base64
import ssl
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from olrunbook.adapters.docker.command import docker
from olrunbook.errors import ToolError
from tests.rehearsal.support import Account

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
    if ($length) { open my $mark, '>', "/run/upload.$$"; }
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


def make_web(account: Account) -> Web:
    """Return two light instances in service behind an HTTPS load balancer."""
    name = account.name("web")
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


def launch(account: Account, image: str, **more: Any) -> str:
    """Launch an instance and return its id."""
    made = account.ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.nano", **more
    )
    return str(made["Instances"][0]["InstanceId"])


def inside(container: str, script: str) -> str:
    """Run a shell script in a container; return what it printed, on one line."""
    return docker("exec", container, "sh", "-c", script).replace("\n", "")


def names() -> list[str]:
    """Return the names of all containers."""
    return docker("ps", "--all", "--format", "{{.Names}}").split()


def serves(container: str, address: str) -> bool:
    """Whether a container is the haproxy of an address, and runs.

    One that ended since its name was listed serves nothing any more.
    """
    if "-lb-" not in container:
        return False
    try:
        config = docker("exec", container, "cat", "/run/balancer/haproxy.cfg")
    except ToolError:
        if container in docker("ps", "--format", "{{.Names}}").split():
            raise
        return False
    return address in config
