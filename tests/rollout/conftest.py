"""A scripted AWS account and a clock that only moves when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from olrunbook.adapters.aws.seen import GroupSeen, InstanceSeen
from olrunbook.adapters.context import Commit, Context
from olrunbook.events import Event
from olrunbook.project.catalog import App, Project
from olrunbook.redact import Redactor, new_key
from olrunbook.steps.results import DeployResult, ResourceChange
from olrunbook.targets import Target

ROOT = Path(__file__).parents[2]
START = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
IDENTITY = "arn:aws:iam::123456789012:user/rehearsal"
OLD, NEW = "ami-0df7e95b351bd8408", "ami-0a17c0ffee5511223"
TAG = "tika-server-tika-ci"
GROUP = "tika-server-tika-ci-auto-scale-group-1a2b3c"


@dataclass(frozen=True)
class Machine:
    """An instance as the account tells it."""

    id: str
    image: str = NEW
    lifecycle: str = "InService"
    health: str = "Healthy"
    target: str = "healthy"
    why: str = ""
    console: str = ""
    status: str = "ok"
    template: str = "2"


@dataclass(frozen=True)
class Refresh:
    """An instance refresh as the account tells it."""

    id: str
    status: str
    percent: int = 0
    reason: str = ""
    started_s: float = 0.0
    preferences: dict[str, Any] = field(
        default_factory=lambda: {"MinHealthyPercentage": 50, "InstanceWarmup": 0}
    )


@dataclass(frozen=True)
class Picture:
    """What the account holds from a moment on."""

    machines: tuple[Machine, ...] = ()
    refreshes: tuple[Refresh, ...] = ()
    desired: int = 1
    groups: tuple[tuple[str, str], ...] = ((GROUP, TAG),)
    template: tuple[str, str] = ("2", NEW)
    activities: tuple[dict[str, Any], ...] = ()
    balanced: bool = True


class Clock:
    """The present; it moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Return the present."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


class FakeAws:
    """An account that follows a script; every service is this one object.

    Args:
        clock: The present.
        page: Items on a page of answers.

    """

    def __init__(self, clock: Clock, page: int = 1) -> None:
        self.clock, self.page = clock, page
        self.script: list[tuple[float, Picture]] = [(0.0, Picture())]
        self.identity = IDENTITY
        self.images: dict[str, dict[str, Any]] = {
            OLD: {"Name": "tika-server-20261123140000", "State": "available"},
            NEW: {"Name": "tika-server-20261123150000", "State": "available"},
        }
        self.dns = "127.77.200.1"
        self.listeners = [{"Protocol": "HTTPS", "Port": 443}]
        self.silent: Callable[[], bool] = lambda: False
        self.console_of: dict[str, str] = {}  # of those that are gone
        self.error: Callable[[], str] = lambda: ""
        self.asked: list[tuple[datetime, str]] = []
        self.exceptions = SimpleNamespace(ClientError=ClientError)

    @property
    def picture(self) -> Picture:
        """What the account holds now."""
        passed = (self.clock() - START).total_seconds()
        return [picture for at, picture in self.script if at <= passed][-1]

    def _ask(self, name: str) -> None:
        """Count a call; fail where the test wants it."""
        self.asked.append((self.clock(), name))
        if self.silent():
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
        if code := self.error():
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, name)

    def _paged(
        self, key: str, items: list[Any], asked: dict[str, Any]
    ) -> dict[str, Any]:
        self._ask(key)
        at = int(asked.get("NextToken", 0))
        more = at + self.page < len(items)
        answer: dict[str, Any] = {key: items[at : at + self.page]}
        return answer | ({"NextToken": str(at + self.page)} if more else {})

    def get_caller_identity(self) -> dict[str, str]:
        """Say who we are."""
        return {"Arn": self.identity, "Account": "123456789012"}

    def describe_auto_scaling_groups(self, **asked: Any) -> dict[str, Any]:
        """Describe groups."""
        filters, names = asked.get("Filters"), asked.get("AutoScalingGroupNames")
        wanted = filters[0]["Values"] if filters else None
        picture, found = self.picture, []
        for name, tag in picture.groups:
            if wanted is not None and tag not in wanted:
                continue
            if names is not None and name not in names:
                continue
            instances = [
                {
                    "InstanceId": m.id,
                    "LifecycleState": m.lifecycle,
                    "HealthStatus": m.health,
                    "LaunchTemplate": {
                        "LaunchTemplateId": "lt-1",
                        "Version": m.template,
                    },
                }
                for m in picture.machines
            ]
            found.append(
                {
                    "AutoScalingGroupName": name,
                    "Tags": [{"Key": "Name", "Value": tag}],
                    "DesiredCapacity": picture.desired,
                    "Instances": instances,
                    "TargetGroupARNs": ["arn:tg"] if picture.balanced else [],
                    "CreatedTime": START - timedelta(days=9),
                    "LaunchTemplate": {
                        "LaunchTemplateId": "lt-1",
                        "Version": "$Latest",
                    },
                }
            )
        return self._paged("AutoScalingGroups", found, asked)

    def describe_instances(self, **asked: Any) -> dict[str, Any]:
        """Describe instances."""
        ids = asked["Filters"][0]["Values"]
        found = [
            {
                "Instances": [
                    {"InstanceId": m.id, "ImageId": m.image, "LaunchTime": START}
                ]
            }
            for m in self.picture.machines
            if m.id in ids
        ]
        return self._paged("Reservations", found, asked)

    def describe_target_health(self, **asked: Any) -> dict[str, Any]:
        """Describe targets' health."""
        self._ask("TargetHealth")
        return {
            "TargetHealthDescriptions": [
                {
                    "Target": {"Id": m.id},
                    "TargetHealth": {"State": m.target, "Description": m.why},
                }
                for m in self.picture.machines
                if m.target
            ]
        }

    def describe_instance_status(self, **asked: Any) -> dict[str, Any]:
        """Describe what the status checks say."""
        found = [
            {
                "InstanceId": m.id,
                "InstanceStatus": {"Status": m.status},
                "SystemStatus": {"Status": "ok"},
            }
            for m in self.picture.machines
            if m.id in asked["InstanceIds"]
        ]
        return self._paged("InstanceStatuses", found, asked)

    def get_console_output(self, **asked: Any) -> dict[str, Any]:
        """Return a console."""
        self._ask("ConsoleOutput")
        texts = self.console_of | {m.id: m.console for m in self.picture.machines}
        return {"Output": texts.get(asked["InstanceId"], "")}

    def describe_instance_refreshes(self, **asked: Any) -> dict[str, Any]:
        """Describe refreshes."""
        found = [
            {
                "InstanceRefreshId": r.id,
                "Status": r.status,
                "StatusReason": r.reason,
                "PercentageComplete": r.percent,
                "StartTime": START + timedelta(seconds=r.started_s),
                "Preferences": r.preferences,
            }
            for r in self.picture.refreshes
        ]
        return self._paged("InstanceRefreshes", found, asked)

    def describe_scaling_activities(self, **asked: Any) -> dict[str, Any]:
        """Describe scaling activities."""
        return self._paged("Activities", list(self.picture.activities), asked)

    def describe_launch_template_versions(self, **asked: Any) -> dict[str, Any]:
        """Describe a template's version."""
        self._ask("LaunchTemplateVersions")
        number, image = self.picture.template
        data = {"VersionNumber": int(number), "LaunchTemplateData": {"ImageId": image}}
        return {"LaunchTemplateVersions": [data]}

    def describe_images(self, **asked: Any) -> dict[str, Any]:
        """Describe images."""
        ids = asked["Filters"][0]["Values"]
        found = [
            {"ImageId": name, **data}
            for name, data in self.images.items()
            if name in ids
        ]
        return self._paged("Images", found, asked)

    def create_tags(self, **asked: Any) -> None:
        """Tag images."""
        for name in asked["Resources"]:
            self.images[name]["Tags"] = asked["Tags"]

    def describe_target_groups(self, **asked: Any) -> dict[str, Any]:
        """Describe target groups."""
        return {"TargetGroups": [{"LoadBalancerArns": ["arn:lb"] if self.dns else []}]}

    def describe_load_balancers(self, **asked: Any) -> dict[str, Any]:
        """Describe load balancers."""
        return {"LoadBalancers": [{"DNSName": self.dns}]}

    def describe_listeners(self, **asked: Any) -> dict[str, Any]:
        """Describe listeners."""
        return {"Listeners": self.listeners}


@dataclass(frozen=True)
class FakeTarget:
    """A target whose every client is the scripted account."""

    aws: FakeAws
    name: str = "rehearsal"
    kind: str = "rehearsal"
    identity_arn: str = IDENTITY
    cloud_id: str = "cloud-1"
    account: str = "123456789012"
    endpoint: str = "http://127.0.0.1:9"
    calls: tuple[int, int] | None = None
    renew: str = "log in again"

    def client(self, service: str) -> FakeAws:
        """Return the account."""
        return self.aws

    def forget(self) -> None:
        """Keep nothing, so there is nothing to forget."""

    def wrong(self, identity: Any) -> str:
        """Return what is wrong with an identity, as a target does."""
        return Target.wrong(self, identity)  # type: ignore[arg-type]

    def identified(self) -> FakeTarget:
        """Return itself."""
        return self

    def environment(self) -> dict[str, str]:
        """Return an environment without any tool."""
        return {"PATH": "/nonexistent"}


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def aws(clock: Clock) -> FakeAws:
    """Return an account with one empty group."""
    return FakeAws(clock)


@pytest.fixture
def events() -> list[Event]:
    """Return what the step said."""
    return []


@pytest.fixture
def app() -> App:
    """Return Tika as the catalog has it."""
    return Project(ROOT, ROOT / "catalog.toml").catalog.apps["tika"]


@pytest.fixture
def ctx(
    tmp_path: Path, clock: Clock, aws: FakeAws, events: list[Event], app: App
) -> Context:
    """Return a step's context in the stage CI of Tika."""
    logs, work = tmp_path / "logs", tmp_path / "work"
    logs.mkdir()
    work.mkdir()
    return Context(
        project=Project(ROOT, ROOT / "catalog.toml"),
        place=FakeTarget(aws),  # type: ignore[arg-type]
        app_name="tika",
        app=app,
        stage="CI",
        run_id="0193-run",
        commit=Commit("a" * 40),
        logs=logs,
        work=work,
        redactor=Redactor(new_key()),
        emit=events.append,
        sleep=clock.sleep,
        clock=clock,
    )


def seen(*machines: Machine, refresh_ids: tuple[str, ...] = ()) -> GroupSeen:
    """Return the group as it was seen with these instances."""
    return GroupSeen(
        node_type="server",
        tag_name=TAG,
        name=GROUP,
        desired=len(machines),
        refresh_ids=list(refresh_ids),
        instances=[
            InstanceSeen(
                id=m.id,
                image=m.image,
                lifecycle=m.lifecycle,
                health=m.health,
                target_health=m.target,
                template_version=m.template,
            )
            for m in machines
        ],
    )


@pytest.fixture
def deployed() -> Callable[..., DeployResult]:
    """Return a maker of deploys of the new image."""

    def make(before: GroupSeen | None, **changes: Any) -> DeployResult:
        change = ResourceChange(
            op="update",
            type="aws:ec2/launchTemplate:LaunchTemplate",
            name="lt",
            urn="urn:lt",
        )
        result = DeployResult(
            project="ol-infrastructure-tika-server",
            stack="applications.tika.CI",
            version=2,
            counts={"update": 3, "same": 14},
            changes=[change],
            images={"server": NEW},
            outputs={},
            before=[before or GroupSeen(node_type="server", tag_name=TAG)],
            groups=[],
            url="",
            started_at=START - timedelta(seconds=9),
            ended_at=START,
            by_hand="pulumi up",
        )
        return result.model_copy(update=changes)

    return make


class Kit:
    """The parts of a script, for tests that import nothing from here."""

    Machine, Refresh, Picture = Machine, Refresh, Picture
    OLD, NEW, GROUP, TAG, START = OLD, NEW, GROUP, TAG, START
    seen = staticmethod(seen)
    replace = staticmethod(replace)


@pytest.fixture
def kit() -> type[Kit]:
    """Return the parts of a script."""
    return Kit
