"""A refresh of the same image against the rehearsal's own API."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from olrunbook.adapters.aws.reads import Account
from olrunbook.adapters.aws.refresh import start_refresh
from olrunbook.adapters.context import Context
from olrunbook.archive.place import RunPlace
from olrunbook.engine.session import Session, run_notebook
from olrunbook.errors import RefusedError, UsageError
from olrunbook.project.catalog import find_project
from olrunbook.record.journal import Typed
from olrunbook.record.model import RollbackRecord, RunRecord
from olrunbook.steps.approval.decisions import By, decide
from olrunbook.steps.approval.lineage import asked_of
from olrunbook.steps.pace import Patience
from olrunbook.steps.results import DeployResult
from olrunbook.steps.rollout import refresh
from tests.archives import sealed_run
from tests.gates import write_notebook
from tests.rehearsal.support import FAST, cloud_at
from tests.rehearsal.world import World
from tests.test_tree import ROOT

pytestmark = pytest.mark.rehearsal

TAG = "tika-server-tika-ci"
QUICK = Patience(every_s=0.05, settle_s=1.0, refresh_grace_s=0.5, deadline_s=60)
ASKED = {"min_healthy": "", "max_healthy": ""}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return AMIs and a template in a cloud of records."""
    with cloud_at(tmp_path_factory.mktemp("refresh"), FAST) as account:
        account.pace(progression="time", seconds=0.2)
        yield World(account)


@pytest.fixture
def real(world: World, ctx: Context) -> Iterator[Context]:
    """Return a context on that cloud; the stage's groups are removed afterwards."""
    target = world.account.target
    clock = {"sleep": time.sleep, "clock": lambda: datetime.now(UTC)}
    found = dataclasses.replace(ctx, place=target, **clock)  # type: ignore[arg-type]
    yield found
    for group in Account(target).groups(found.app, found.stage):
        if group.name:
            world.account.asg.delete_auto_scaling_group(
                AutoScalingGroupName=group.name, ForceDelete=True
            )


def group(world: World, desired: int = 2, version: str = "1") -> str:
    """Make the stage's group."""
    tag = {"Key": "Name", "Value": TAG, "PropagateAtLaunch": True}
    return world.make(desired, version, Tags=[tag])


def test_every_instance_is_replaced_by_one_of_the_same_image(
    world: World, real: Context
) -> None:
    """Planned, begun and watched: other instances, the image and its template stay."""
    name = group(world)
    before = set(world.account.members(name))
    plan = refresh.planned(real, ASKED)
    assert plan.headline() == "2 instances to replace, the image stays"
    assert plan.images == {"server": world.amis[0]}
    assert "New instances serve before old ones go" in plan.outlook[0]
    assert not world.account.asg.describe_instance_refreshes(AutoScalingGroupName=name)[
        "InstanceRefreshes"
    ]
    began = refresh.began(real, plan)
    seen = world.account.refresh(name)
    assert began.refreshes == {name: seen["InstanceRefreshId"]}
    assert not seen["Preferences"]["SkipMatching"]
    assert seen["Preferences"]["MinHealthyPercentage"] == 90
    assert seen["Preferences"]["MaxHealthyPercentage"] == 110
    result = refresh.watched(real, began, QUICK)
    assert result.outcome == "refreshed", result.headline()
    assert not before & set(world.account.members(name))


def test_a_refresh_that_ends_in_the_midst_of_a_look_is_judged_by_what_is_there(
    world: World, real: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group was read before: its old instances count as they are afterwards."""
    name = group(world)
    before = set(world.account.members(name))
    began = refresh.began(real, refresh.planned(real, ASKED))
    read = Account.refreshes

    def late(account: Account, group: str) -> list[Any]:
        end = time.monotonic() + 60
        found = read(account, group)
        while any(one.active for one in found) and time.monotonic() < end:
            time.sleep(0.05)
            found = read(account, group)
        return found

    monkeypatch.setattr(Account, "refreshes", late)
    result = refresh.watched(real, began, QUICK)
    assert result.outcome == "refreshed", result.headline()
    (one,) = result.groups
    assert not any(t.after and not t.after.leaving for t in one.instances if t.before)
    assert before == {track.id for track in one.instances if track.before}


def test_percentages_come_from_the_last_refresh_or_are_asked_for(
    world: World, real: Context
) -> None:
    """The one of the group before is the default; what AWS refuses is refused first."""
    name = group(world)
    world.roll(name, None, MinHealthyPercentage=50, InstanceWarmup=1)
    (one,) = refresh.planned(real, ASKED).groups
    assert list(one.preferences.values()) == [50, 110, 1]
    asked = {"min_healthy": "0", "max_healthy": "100 %"}
    (one,) = refresh.planned(real, asked).groups
    assert list(one.preferences.values()) == [0, 100, 1]
    asked = {"min_healthy": "", "max_healthy": "200"}  # AWS: at most 100 apart
    (one,) = refresh.planned(real, asked).groups
    assert list(one.preferences.values()) == [100, 200, 1]
    for low, high in (("101", ""), ("half", ""), ("", "99"), ("10", "150"), ("٩٠", "")):
        with pytest.raises(UsageError):
            refresh.planned(real, {"min_healthy": low, "max_healthy": high})


def test_there_is_never_a_second_refresh(world: World, real: Context) -> None:
    """It is refused when it is planned, when it is to begin, and by AWS itself."""
    name = group(world, 4)
    plan = refresh.planned(real, ASKED)
    slow = {"MinHealthyPercentage": 90, "InstanceWarmup": 100_000}
    first = world.start(name, None, **slow)
    for step in (
        lambda: refresh.planned(real, ASKED),
        lambda: refresh.began(real, plan),
    ):
        with pytest.raises(RefusedError, match=r"refresh .* is (Pend|InPro)"):
            step()
    with pytest.raises(RefusedError, match="in progress"):
        start_refresh(real.target, name, {"MinHealthyPercentage": 90})
    assert world.account.refresh(name)["InstanceRefreshId"] == first


def test_what_is_not_as_planned_does_not_begin(world: World, real: Context) -> None:
    """A template or settings that somebody changed meanwhile: plan it again.

    How many instances there are, and which, moves by itself: that is as planned.
    """
    name = group(world)
    plan = refresh.planned(real, ASKED)
    before = set(world.account.members(name))
    world.account.asg.update_auto_scaling_group(
        AutoScalingGroupName=name, DesiredCapacity=3
    )
    world.account.ec2.terminate_instances(InstanceIds=[min(before)])
    end = time.monotonic() + 60
    while len(members := set(world.account.members(name))) < 3 or before <= members:
        assert time.monotonic() < end
        assert refresh.planned(real, ASKED).parts == plan.parts
        time.sleep(0.05)
    assert refresh.planned(real, ASKED).parts == plan.parts
    other = plan.model_copy(update={"asked": {"min_healthy": "0", "max_healthy": ""}})
    with pytest.raises(RefusedError, match="not as it was planned: template or sett"):
        refresh.began(real, other)
    world.account.asg.update_auto_scaling_group(
        AutoScalingGroupName=name, **world.desired("2")
    )
    with pytest.raises(RefusedError, match="its launch template has"):
        refresh.planned(real, ASKED)


def test_a_revoked_image_comes_to_no_other_instances(
    world: World, real: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where all run it they may be made anew, and the plan says so; else: go back."""
    monkeypatch.setenv("OLRUNBOOK_ARCHIVE", str(tmp_path / "outputs"))
    name, (old, new, _) = group(world), world.amis
    tags = {"Resources": [old, new], "Tags": [{"Key": "revoked", "Value": "at noon"}]}
    world.account.ec2.create_tags(**tags)
    (line,) = refresh.planned(real, ASKED).outlook
    assert "That image was revoked at noon." in line
    # An update was cut off before its refresh began.
    world.account.asg.update_auto_scaling_group(
        AutoScalingGroupName=name, **world.desired("2")
    )

    def deployed(**begin: Any) -> None:
        step = {"name": "up", "status": "done", "result": {"ok": True}}
        step |= {"result_schema": DeployResult.schema_name}
        begin |= {"images": {"server": new}}
        given: dict[str, Any] = {"begin": begin, "steps": [step]}
        sealed_run(real.project, real.redactor, "deploy", "CI", **given)

    deployed()
    with pytest.raises(RefusedError, match="was revoked at noon") as caught:
        refresh.planned(real, ASKED)
    assert caught.value.hint == "Go back: olrunbook rollback tika CI"
    back = RollbackRecord(left={"server": old}, run_id="r", revoked="everything is")
    deployed(rollback=back.model_dump())  # people gave a reason for it
    assert refresh.planned(real, ASKED).images == {"server": new}
    world.account.ec2.delete_tags(**tags)


def test_a_group_that_is_not_there_is_refused(real: Context) -> None:
    """With the command that makes it."""
    with pytest.raises(RefusedError, match="no instance to replace") as caught:
        refresh.planned(real, ASKED)
    assert "run deploy -p app tika -p stage CI" in caught.value.hint


@pytest.mark.parametrize("end", ["cancelled", "another"])
def test_a_refresh_that_others_disturb_has_failed(
    world: World, real: Context, end: str
) -> None:
    """Cancelled, or followed by somebody else's: not every instance is known new."""
    name = group(world, 4)
    began = refresh.began(real, refresh.planned(real, ASKED))
    if end == "cancelled":
        world.account.asg.cancel_instance_refresh(AutoScalingGroupName=name)
    else:
        world.account.watch(name)
        world.roll(name, None, MinHealthyPercentage=90)
    result = refresh.watched(real, began, QUICK)
    assert result.outcome == "failed"
    assert result.consequences
    words: dict[str, Any] = {"cancelled": "Cancelled", "another": "was not the last"}
    assert words[end] in result.headline()


CELLS = (
    "plan = run.planned()\nplan",
    "await run.gate(plan)",
    "began = run.began(plan)\nbegan",
    "assert not (root / 'cut').exists()",
    "rolled = run.watched(began)\nrolled",
    "run.conclude(rolled)",
)
HEAD = """
from olrunbook.project.catalog import find_project
import olrunbook
root = find_project().root
run = olrunbook.begin("refresh", app=app, stage=stage, target=target)
"""


def test_headless_it_waits_at_its_gate_and_begins_once(
    world: World, real: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Approved, it begins; cut off after that, a resumed run only watches it."""
    state = world.account.target.state.parents[1]
    monkeypatch.setenv("OLRUNBOOK_STATE", str(state))
    monkeypatch.setenv("OLRUNBOOK_ARCHIVE", str(tmp_path / "outputs"))
    root = state.parent / "project"
    shutil.copy(ROOT / "catalog.toml", root)
    path = write_notebook(root / "notebooks" / "refresh.ipynb", *CELLS, head=(HEAD,))
    project, typed, name = find_project(root), Typed(gates="CI"), group(world)

    def run(before: RunPlace | None = None) -> tuple[RunRecord, RunPlace]:
        session = Session(project, path, {}, typed=typed, resumes=before)
        return run_notebook(session), session.place

    def refreshes() -> int:
        call = world.account.asg.describe_instance_refreshes
        return len(call(AutoScalingGroupName=name)["InstanceRefreshes"])

    record, place = run()
    assert (record.status, refreshes()) == ("waiting", 0)
    assert "2 instances to replace" in record.cause
    asked, by = asked_of(project, place, record), By("ann", "claimed")
    decide(place.folder.parent, asked, by, "fine", approved=True)
    (root / "cut").touch()
    record, place = run(place)
    assert (record.status, refreshes()) == ("failed", 1)
    assert {s.name: s.status for s in record.steps}["watched"] == "not-run"
    (root / "cut").unlink()
    record, _ = run(place)
    assert (record.status, refreshes()) == ("succeeded", 1), record.cause
    assert {s.name: s.status for s in record.steps}["began"] == "kept"
    assert record.headline.startswith("refreshed by ")
    assert record.images == {"server": world.amis[0]}
