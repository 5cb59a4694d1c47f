"""Real engine, the cloud of records: a rollback while a hopeless refresh goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.aws.seen import short
from olrunbook.adapters.context import Context
from olrunbook.archive.place import list_runs
from olrunbook.errors import RefusedError
from olrunbook.steps.deploy import update as deploy
from olrunbook.steps.images.revoke import revoke
from olrunbook.steps.preflight import preflight
from olrunbook.steps.way_back import way_back
from tests.archives import sealed_run
from tests.pulumi.conftest import Deploys

pytestmark = pytest.mark.rehearsal

CHECKS = ("images", "stage order", "instance refresh")


def refreshes(deploys: Deploys) -> list[dict[str, Any]]:
    """Return the refreshes of the CI group, the one that began last first."""
    wanted = [{"Name": "tag:Name", "Values": ["tika-server-tika-ci"]}]
    asg = deploys.account.asg
    (group,) = asg.describe_auto_scaling_groups(Filters=wanted)["AutoScalingGroups"]
    name = group["AutoScalingGroupName"]
    found = asg.describe_instance_refreshes(AutoScalingGroupName=name)
    return list(found["InstanceRefreshes"])


def serving(run: Context) -> set[str]:
    """Return the images that serve in CI."""
    (group,) = Account(run.target).groups(run.app, run.stage)
    return {one.image for one in group.instances if one.serves}


def rolled_out(deploys: Deploys, images: dict[str, str]) -> None:
    """Put a succeeded rollout of a set in CI into the archive."""
    run = deploys.run()
    cloud = {"cloud_id": run.target.cloud_id, "account": run.target.account}
    schema = {"result": {"ok": True}, "result_schema": "olrunbook/rollout/1"}
    sealed_run(
        run.project,
        run.redactor,
        "rollout",
        "CI",
        begin={"images": images, **cloud},
        steps=[{"name": "rollout", "status": "done", **schema}],
    )


def test_a_rollback_cancels_the_refresh_that_comes_to_nothing(
    deploys: Deploys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names it, and the digest holds exactly that; a forward deploy has to wait."""
    monkeypatch.setenv("OLRUNBOOK_ARCHIVE", str(tmp_path / "archive"))
    good, bad = ({"server": image} for image in deploys.images)
    run = deploys.run()
    assert deploy.up(run, deploy.preview(run, good)).relied == "this is the first stage"
    rolled_out(deploys, good)
    assert len(list(list_runs(run.project.outputs, room="CI"))) == 1
    deploys.account.pace(progression="time", seconds=1200)
    run = deploys.run()
    deploy.up(run, deploy.preview(run, bad))
    (hopeless,) = refreshes(deploys)
    assert hopeless["Status"] in {"Pending", "InProgress"}

    run = deploys.run()
    back = way_back(run)
    assert (back.images, back.record.left) == (good, bad)
    forward = preflight(run, need=CHECKS, images=good)
    assert [row.name for row in forward.failed] == ["instance refresh"]
    rows = preflight(run, need=CHECKS, images=good, rollback=back.record)
    assert rows.failed == []

    plan = deploy.preview(run, good, {}, back.record)
    # Which images the group runs meanwhile moves by itself: an approval lives on.
    lost = [i.id for group in plan.groups for i in group.instances]
    deploys.account.ec2.terminate_instances(InstanceIds=lost)
    end, other = time.monotonic() + 60, deploys.run()
    while serving(other) != set(bad.values()):
        assert time.monotonic() < end
        time.sleep(0.1)
    again = deploy.preview(other, good, {}, back.record)
    assert (plan.groups, plan.since) != (again.groups, again.since)
    assert plan.parts == again.parts
    assert plan.digest == again.digest
    name = short(hopeless["InstanceRefreshId"])
    (line,) = [text for text in plan.outlook if f"cancels refresh {name}" in text]
    assert f"{hopeless['PercentageComplete']} %" in line
    assert any("A rollback from server=" in text for text in plan.outlook)
    assert plan.headline().startswith("rollback: 3 to update")
    assert plan.denied == []

    done = deploy.up(run, plan)
    assert done.headline() == "rollback: 3 updated, 14 same"
    assert "served well in CI" in done.relied
    newest, before = refreshes(deploys)
    assert before["InstanceRefreshId"] == hopeless["InstanceRefreshId"]
    assert before["Status"].startswith("Cancel")
    assert newest["Status"] in {"Pending", "InProgress"}


def test_a_revoked_image_goes_nowhere_but_back(
    deploys: Deploys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before Pulumi runs; where all is revoked, a rule asks for a reason."""
    monkeypatch.setenv("OLRUNBOOK_ARCHIVE", str(tmp_path / "archive"))
    run = deploys.run()
    image = deploys.account.ec2.copy_image(
        SourceImageId=deploys.images[0],
        SourceRegion="us-east-1",
        Name="tika-server-20261129000000",
    )["ImageId"]
    given = {image: "server"}
    revoke(run.project.catalog, lambda _: run.target, given, "leaks", "ann@host")
    with pytest.raises(RefusedError, match=r"was revoked at .* by ann@host: leaks"):
        deploy.preview(run, {"server": image})
    assert deploys.events == []
    rolled_out(deploys, {"server": image})
    back = way_back(run)
    assert "all else that served well in CI is revoked" in back.record.revoked
    plan = deploy.preview(run, back.images, {}, back.record)
    assert [finding.rule for finding in plan.denied] == ["revoked"]
    why = {"revoked": "better than nothing"}
    assert deploy.preview(run, back.images, why, back.record).denied == []
