"""A group behind a real balancer: serving, draining, healing."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest

from olrunbook.adapters.docker.command import docker
from tests.rehearsal.support import Account
from tests.rehearsal.web import (
    SECURE,
    Web,
    launch,
    make_web,
    names,
    serves,
    unverified,
)

pytestmark = pytest.mark.rehearsal


@pytest.fixture(scope="module")
def web(containers: Account) -> Web:
    """Return two light instances in service behind an HTTPS load balancer."""
    return make_web(containers)


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
    instance = launch(
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
    eventually(lambda: account.instance(instance)["State"]["Name"] == "running")
    account.elb.register_targets(TargetGroupArn=targets, Targets=[{"Id": instance}])

    def health() -> str:
        found = account.elb.describe_target_health(TargetGroupArn=targets)
        return str(found["TargetHealthDescriptions"][0]["TargetHealth"]["State"])

    eventually(lambda: health() == "healthy")
    address = balancer["LoadBalancers"][0]["DNSName"]

    def status() -> int:
        connection = http.client.HTTPConnection(address, 80, timeout=5)
        connection.request("GET", "/")
        return connection.getresponse().status

    eventually(lambda: status() == 200)
    account.elb.delete_load_balancer(LoadBalancerArn=arn)
    account.ec2.terminate_instances(InstanceIds=[instance])


def test_uploads_finish_when_their_instance_goes(
    web: Web, eventually: Callable[..., Any]
) -> None:
    """Uploads in flight end well while their target drains; then it is gone."""
    answers: list[tuple[int, str, str]] = []
    draining = threading.Event()
    web.account.elb.modify_target_group_attributes(
        TargetGroupArn=web.targets,  # however busy this machine is, it is long enough
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "3000"}],
    )

    def upload() -> None:
        connection = http.client.HTTPSConnection(
            web.address, 443, timeout=60, context=unverified()
        )
        connection.putrequest("PUT", "/slow")
        connection.putheader("Content-Length", "8000")
        connection.endheaders()
        connection.send(b"x" * 7000)
        draining.wait(60)
        connection.send(b"x" * 1000)
        answer = connection.getresponse()
        answers.append(
            (answer.status, answer.read().decode(), answer.getheader("x-ol-target", ""))
        )
        connection.close()

    def uploads_to(instance: str) -> int:
        return docker("exec", instance, "ls", "/run").count("upload")

    def health() -> str:
        seen = web.account.elb.describe_target_health(
            TargetGroupArn=web.targets, Targets=[{"Id": victim}]
        )
        return str(seen["TargetHealthDescriptions"][0]["TargetHealth"]["State"])

    members = web.account.members(web.name)
    threads = [threading.Thread(target=upload) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: sum(map(uploads_to, members)) == 4)
    victim = next(filter(uploads_to, members))
    web.account.asg.terminate_instance_in_auto_scaling_group(
        InstanceId=victim, ShouldDecrementDesiredCapacity=False
    )
    eventually(lambda: health() == "draining")
    draining.set()
    for thread in threads:
        thread.join(60)
    assert [answer[:2] for answer in answers] == [(200, "8000")] * 4
    assert victim in {answer[2] for answer in answers}
    eventually(lambda: web.states() == ["InService"] * 2)
    eventually(lambda: victim not in docker("ps", "-a", "--format", "{{.Names}}"))


def test_poweroff_is_replaced(web: Web, eventually: Callable[..., Any]) -> None:
    """An instance that ends by itself is replaced by its group."""
    victim = web.account.members(web.name)[0]
    docker("exec", victim, "systemctl", "poweroff")
    eventually(lambda: victim not in web.account.members(web.name))
    eventually(lambda: web.states() == ["InService"] * 2)
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
    eventually(lambda: victim not in web.account.members(web.name))
    web.account.asg.update_auto_scaling_group(
        AutoScalingGroupName=web.name, HealthCheckGracePeriod=30
    )
    eventually(lambda: web.states() == ["InService"] * 2)


def test_balancer_comes_back(web: Web, eventually: Callable[..., Any]) -> None:
    """A haproxy that is killed is started again."""
    listing = docker("ps", "--filter", "name=-lb-", "--format", "{{.Names}}").split()
    mine = [name for name in listing if serves(name, web.address)]
    docker("kill", mine[0])

    def answers() -> bool:
        try:
            return web.get()[0] == 200
        except OSError:
            return False

    eventually(answers)


def test_everything_goes_with_the_group(
    web: Web, eventually: Callable[..., Any]
) -> None:
    """Deleting group and balancer leaves no container of them."""
    members = web.account.members(web.name)
    web.account.asg.delete_auto_scaling_group(
        AutoScalingGroupName=web.name, ForceDelete=True
    )
    web.account.elb.delete_load_balancer(LoadBalancerArn=web.balancer)
    eventually(lambda: not set(members) & set(names()))
    eventually(lambda: not [name for name in names() if serves(name, web.address)])
