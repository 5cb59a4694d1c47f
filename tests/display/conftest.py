"""Results to show, with hostile text in every field that a tool or a person fills."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from olrunbook.adapters.aws.seen import (
    ActivitySeen,
    GroupSeen,
    InstanceSeen,
    RefreshSeen,
)
from olrunbook.record.model import PartRecord
from olrunbook.steps.checks import Answered, ChecksResult
from olrunbook.steps.deploy.plan import PreviewResult
from olrunbook.steps.images.results import (
    ArtifactUsed,
    BuiltImage,
    CheckSeen,
    ImageBuildResult,
    ImageTestResult,
    Operation,
    Phase,
    TestedImage,
    ValidateResult,
)
from olrunbook.steps.preflight import CheckRow, PreflightResult
from olrunbook.steps.release import ReleaseResult
from olrunbook.steps.results import DeployResult, PropertyChange, ResourceChange
from olrunbook.steps.rollout.model import (
    Ailment,
    GroupRollout,
    InstanceTrack,
    RolloutResult,
    RolloutSample,
)
from olrunbook.steps.rollout.samples import Sample, per_second, summarise

START = datetime(2026, 11, 23, 15, 9, 44, tzinfo=UTC)
OLD, NEW = "ami-0df7e95b351bd8408", "ami-0a17c0ffee5511223"
EVIL = "<script>alert('x')</script>&\"><img src=x onerror=y>"


def at(seconds: float) -> datetime:
    """Return a moment after the start."""
    return START + timedelta(seconds=seconds)


def instance(name: str, image: str, lifecycle: str = "InService") -> InstanceSeen:
    """Return an instance."""
    return InstanceSeen(
        id=name,
        image=image,
        lifecycle=lifecycle,
        health="Healthy",
        target_health="healthy",
        launched_at=at(0),
    )


def rollout_result(*, failed: bool = False) -> RolloutResult:
    """Return a rollout of one instance with an outage."""
    old, new = instance("i-0a11b22c33d44e55f", OLD), instance("i-072db11223344", NEW)
    refresh = RefreshSeen(
        id="2de4959a-0000-4000-8000-000000000001",
        status="Failed" if failed else "Successful",
        reason=EVIL,
        percent=100,
        started_at=at(1),
        ended_at=at(20),
        min_healthy=50,
    )
    samples = [
        Sample(
            at=at(n / 5), ok=not 20 < n < 70, seconds=0.02, error="503", target="i-1"
        )
        for n in range(100)
    ]
    group = GroupRollout(
        node_type="server",
        label="server",
        group="tika-server-tika-ci-1a2b3c",
        image=NEW,
        outcome="failed" if failed else "refreshed",
        reason=EVIL,
        desired=1,
        serving=1,
        instances=[
            InstanceTrack(id=old.id, image=OLD, before=old, gone_at=at(4)),
            InstanceTrack(id=new.id, image=NEW, after=new, served_at=at(14)),
        ],
        refresh=refresh,
        activities=[
            ActivitySeen(at=at(5), status="Failed", description="Launching", cause=EVIL)
        ],
        unhealthy=[
            Ailment(
                id=new.id,
                image=NEW,
                at=at(6),
                reason=EVIL,
                console=["caddy.service: Failed", EVIL],
                log=f"console-{new.id}.log",
            )
        ],
    )
    timeline = [
        RolloutSample(
            at=at(second),
            group="server",
            status=status,
            percent=percent,
            serving=serving,
            on_image=new_ones,
            desired=1,
        )
        for second, status, percent, serving, new_ones in (
            (0, "InProgress", 0, 1, 0),
            (4, "InProgress", 0, 0, 0),
            (14, "InProgress", 0, 1, 1),
            (20, "Successful", 100, 1, 1),
        )
    ]
    return RolloutResult(
        app="tika",
        stage="CI",
        outcome=group.outcome,
        images={"server": NEW},
        url="https://127.77.200.1",
        groups=[group],
        timeline=timeline,
        probe=summarise(samples, at(0), at(20)),
        probe_seconds=per_second(samples, at(0), at(20)),
        notes=["An outage."],
        consequences=[EVIL, "Back: olrunbook run deploy"] if failed else [],
        started_at=at(0),
        ended_at=at(20),
        by_hand=f"aws autoscaling {EVIL}",
    )


def changes() -> list[ResourceChange]:
    """Return two changes, one of them no part of an image roll."""
    return [
        ResourceChange(
            op="update",
            type="aws:ec2/launchTemplate:LaunchTemplate",
            name="tika-launch-template",
            urn="urn:pulumi:lt",
            changes=[PropertyChange(path="imageId", kind="update", old=OLD, new=NEW)],
        ),
        ResourceChange(
            op="update",
            type="aws:ec2/securityGroup:SecurityGroup",
            name=EVIL,
            urn="urn:pulumi:sg",
            changes=[PropertyChange(path="ingress", kind="update", old="", new=EVIL)],
            expected=False,
        ),
    ]


def _deploy() -> DeployResult:
    return DeployResult(
        project="ol-infrastructure-tika-server",
        stack="applications.tika.CI",
        version=3,
        counts={"update": 2, "same": 15},
        changes=changes(),
        images={"server": NEW},
        outputs={"note": EVIL},
        before=[],
        groups=[],
        url="https://127.77.200.1",
        started_at=at(-9),
        ended_at=at(0),
        by_hand="pulumi up --refresh --yes",
    )


def _preview() -> PreviewResult:
    group = GroupSeen(
        node_type="server",
        tag_name="tika-server-tika-ci",
        name="group-1",
        desired=1,
        instances=[instance("i-1", OLD)],
    )
    return PreviewResult(
        project="ol-infrastructure-tika-server",
        stack="applications.tika.CI",
        version=2,
        state="digest",
        token="plan-1",
        counts={"update": 2, "same": 15},
        changes=changes(),
        images={"server": NEW},
        groups=[group, GroupSeen(node_type="x", tag_name="worker-ci")],
        outlook=[EVIL],
        by_hand="pulumi preview",
        digest="9f2c",
    )


def _operations() -> list[Operation]:
    return [
        Operation(name="Ensure unzip", state="changed", seconds=1.5),
        Operation(
            name="Download",
            state="failed",
            seconds=0.1,
            commands=["curl -fsS x"],
            output=["sh: 1: curl: not found", EVIL],
        ),
        Operation(name="Unzip", state="not reached"),
    ]


def _image_test() -> ImageTestResult:
    test = TestedImage(
        node_type="server",
        base="olrunbook/base:1",
        systemd=False,
        operations=_operations(),
        again=["daemon reload"],
        repeated=True,
        checks=[CheckSeen(name="answers", ok=False, detail=EVIL)],
        services=["tika.service"],
        error=EVIL,
        hint="Use the kit's own base image.",
        seconds=9.0,
        by_hand=["pyinfra @docker/base deploy.py"],
    )
    used = ArtifactUsed(name="tika", version="3.2.2", sha256="a" * 64, source=EVIL)
    return ImageTestResult(
        tests=[test], idempotent=False, artifacts=[used], not_tested=["user data"]
    )


def _image_build() -> ImageBuildResult:
    built = BuiltImage(
        node_type="server",
        ami=NEW,
        name="tika-server-20261123151029",
        base_ami=OLD,
        base_name="docker_baseline_ami-1",
        tags={"Name": EVIL},
        phases=[Phase(name="provisioning", seconds=31.0)],
        operations=_operations()[:1],
        artifacts=[],
        packages=212,
        packages_file="packages.txt",
        seconds=71.2,
        by_hand="packer build images/tika/tika.pkr.hcl",
    )
    return ImageBuildResult(
        images={"server": NEW},
        builds=[built],
        commit="a1b2c3d4e5f60718",
        dirty=["images/tika/deploy.py"],
        packer="Packer v1.15.4",
        started_at=at(0),
        ended_at=at(71),
    )


def all_results() -> dict[str, Any]:
    """Return a result of each kind."""
    found = [
        rollout_result(),
        _deploy(),
        _preview(),
        _image_test(),
        _image_build(),
        ValidateResult(
            template="images/tika/tika.pkr.hcl",
            packer="Packer v1.15.4",
            checks=[CheckSeen(name="fmt", ok=False, detail=EVIL)],
            by_hand=["packer validate"],
        ),
        PreflightResult(
            rows=[
                CheckRow(name="docker", status="ok", found="20.10", wanted="answers"),
                CheckRow(name="packer", status="failed", found=EVIL, wanted=">= 1.14"),
            ]
        ),
        ChecksResult(
            url="https://127.77.200.1",
            answers=[
                Answered(
                    name="version",
                    request="GET /version",
                    ok=False,
                    wanted="200",
                    found=EVIL,
                    seconds=0.2,
                )
            ],
            notes=["The certificate is not verified."],
        ),
        ReleaseResult(
            release="0193-r",
            images={"server": NEW},
            stages=["CI"],
            wanted=["CI", "QA"],
            rows=[
                PartRecord(
                    notebook="rollout",
                    stage="QA",
                    status="failed",
                    headline=EVIL,
                    seconds=71.0,
                    record="outputs/x",
                    run_id="0193-a",
                )
            ],
            seconds=71.0,
        ),
    ]
    return {type(item).__name__: item for item in found}


@pytest.fixture(params=sorted(all_results()))
def result(request: pytest.FixtureRequest) -> Any:
    """Return a result of each kind, one after the other."""
    return all_results()[request.param]


@pytest.fixture
def results() -> dict[str, Any]:
    """Return a result of each kind."""
    return all_results()


@pytest.fixture
def rolled() -> RolloutResult:
    """Return a rollout."""
    return rollout_result()


@pytest.fixture
def failed_rollout() -> RolloutResult:
    """Return a rollout that failed."""
    return rollout_result(failed=True)
