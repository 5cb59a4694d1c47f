"""A cloud's account as the tests use it, and clouds of their own."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from olrunbook.rehearsal import lifecycle
from olrunbook.rehearsal.api.headers import (
    KEY_HEADER,
    OWN_PREFIX,
    PACE_PREFIX,
    TOKENS,
)
from olrunbook.rehearsal.settings import Settings
from olrunbook.targets import Target

# A warm-up of 300 s takes 0.3 s, the one-hour limit of a refresh 3.6 s.
FAST = Settings(containers=False, time_scale=0.001, boot_s=0.15, tick_s=0.03)
REAL = Settings(time_scale=0.02, health_scale=0.1)
ENDINGS = ("Successful", "Failed", "Cancelled", "RollbackSuccessful", "RollbackFailed")
PACE = "autoscaling::instancerefresh"


@dataclass(frozen=True)
class Seen:
    """One look at a refresh and its group."""

    status: str
    percent: int
    waiting: int
    lifecycle: dict[str, int]
    versions: str


@dataclass
class Account:
    """A cloud's account as the tests use it: clients, and short ways to say things."""

    target: Target
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return a client, made once."""
        if service not in self.clients:
            self.clients[service] = self.target.client(service)
        return self.clients[service]

    @property
    def ec2(self) -> Any:
        """EC2."""
        return self.client("ec2")

    @property
    def asg(self) -> Any:
        """Auto Scaling."""
        return self.client("autoscaling")

    @property
    def elb(self) -> Any:
        """Elastic Load Balancing."""
        return self.client("elbv2")

    def name(self, kind: str = "t") -> str:
        """Return a name nobody else has."""
        return f"{kind}-{uuid.uuid4().hex[:10]}"

    def base_image(self) -> str:
        """Return the Debian AMI."""
        images = self.ec2.describe_images(Owners=["136693071363"])["Images"]
        return str(images[0]["ImageId"])

    def subnets(self) -> list[str]:
        """Return the CI subnets."""
        wanted = [{"Name": "tag:Environment", "Values": ["operations-ci"]}]
        found = self.ec2.describe_subnets(Filters=wanted)["Subnets"]
        return [subnet["SubnetId"] for subnet in found]

    def vpc(self) -> str:
        """Return the applications VPC."""
        wanted = [{"Name": "tag:Name", "Values": ["applications_vpc"]}]
        return str(self.ec2.describe_vpcs(Filters=wanted)["Vpcs"][0]["VpcId"])

    def security_group(self, *ports: int) -> str:
        """Return a new security group that opens TCP ports."""
        group = self.ec2.create_security_group(
            GroupName=self.name("sg"), Description="test", VpcId=self.vpc()
        )["GroupId"]
        for port in ports:
            self.ec2.authorize_security_group_ingress(
                GroupId=group,
                IpPermissions=[
                    {
                        "IpProtocol": "tcp",
                        "FromPort": port,
                        "ToPort": port,
                        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
                    }
                ],
            )
        return str(group)

    def instance(self, instance_id: str) -> dict[str, Any]:
        """Return an instance."""
        found = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        return dict(found[0]["Instances"][0])

    def group(self, name: str) -> dict[str, Any]:
        """Return an Auto Scaling group."""
        found = self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return dict(found["AutoScalingGroups"][0])

    def members(self, name: str) -> list[str]:
        """Return the instance ids of a group."""
        return [instance["InstanceId"] for instance in self.group(name)["Instances"]]

    def versions(self, name: str) -> str:
        """Return the template versions of a group's instances, sorted: `122`."""
        members = self.group(name)["Instances"]
        return "".join(sorted(one["LaunchTemplate"]["Version"] for one in members))

    def refresh(self, name: str) -> dict[str, Any]:
        """Return the newest refresh of a group."""
        found = self.asg.describe_instance_refreshes(AutoScalingGroupName=name)
        return dict(found["InstanceRefreshes"][0])

    def watch(
        self,
        name: str,
        until: Callable[[dict[str, Any]], bool] | None = None,
        timeout_s: float = 120,
    ) -> tuple[list[Seen], dict[str, Any]]:
        """Follow a refresh to its end (or `until`); return what was seen, and the last.

        Only looks that differ from the one before are kept.
        """
        seen: list[Seen] = []
        end = time.monotonic() + timeout_s
        while True:
            refresh, members = self.refresh(name), self.group(name)["Instances"]
            states = [member["LifecycleState"] for member in members]
            look = Seen(
                refresh["Status"],
                refresh["PercentageComplete"],
                refresh["InstancesToUpdate"],
                {state: states.count(state) for state in states},
                "".join(sorted(one["LaunchTemplate"]["Version"] for one in members)),
            )
            if not seen or seen[-1] != look:
                seen.append(look)
            if refresh["Status"] in ENDINGS or (until and until(refresh)):
                return seen, refresh
            assert time.monotonic() < end, f"no end within {timeout_s} s: {seen[-1]}"
            time.sleep(0.02)

    def pace(self, **transition: Any) -> None:
        """Set how fast refreshes go, through moto's state manager."""
        path = f"{PACE_PREFIX}state-manager/set-transition"
        self._tell(path, model_name=PACE, transition=transition)

    def trouble(self, code: str, seconds: float) -> None:
        """Let every call fail with a code for a while; empty: nobody answers."""
        self._tell(f"{OWN_PREFIX}fault", code=code, seconds=seconds)

    def tokens(self, seconds: float) -> None:
        """Let keys of roles assumed from now on live so long; 0: as long as asked."""
        self._tell(f"{OWN_PREFIX}{TOKENS}", seconds=seconds)

    def _tell(self, path: str, **body: Any) -> None:
        """Tell the cloud itself how to behave."""
        request = urllib.request.Request(  # noqa: S310  (the cloud on loopback)
            f"{self.target.endpoint}{path}",
            data=json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                KEY_HEADER: self.target.access_key.get_secret_value(),
            },
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            pass

    def get(self, url: str, **headers: str) -> tuple[int, bytes]:
        """Return status and body of a plain request."""
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  (loopback)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def fault(self, call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
        """Return code and message of the error a call ends with; both empty: none."""
        try:
            call(**arguments)
        except ClientError as error:
            found = error.response["Error"]
            return found["Code"], found["Message"]
        return "", ""


@contextlib.contextmanager
def state_in(folder: Path) -> Iterator[None]:
    """Keep state in a folder for a while (and for nobody else's tests)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OLRUNBOOK_STATE", str(folder))
        yield


@contextlib.contextmanager
def cloud_at(folder: Path, settings: Settings) -> Iterator[Account]:
    """Have a cloud of its own state for a while."""
    root = folder / "project"
    root.mkdir(exist_ok=True)
    try:
        with state_in(folder / "state"):
            target = lifecycle.up(root, settings=settings)
        yield Account(target)
    finally:
        for log in (folder / "state").rglob("daemon.log"):
            lines = log.read_text(errors="replace").splitlines()
            if any("REPEATED" in line for line in lines):
                # Why a client asked twice is to be known: all that went wrong.
                odd = [line for line in lines if "REPEATED" in line or "FAULT" in line]
                print("\n".join(odd), file=sys.__stderr__)
        with state_in(folder / "state"):
            lifecycle.down(root, images=True)
