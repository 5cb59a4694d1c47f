"""What serves where, from real archives; and what account and stack say beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import olrunbook
from olrunbook import cli
from olrunbook.archive import chain
from olrunbook.display.views_checks import board_view
from olrunbook.project.catalog import Project, find_project
from olrunbook.redact import Redactor
from olrunbook.steps.board import Board, StageStatus, board
from olrunbook.steps.order import Found
from tests.archives import sealed_run
from tests.rehearsal.support import FAST, Account, cloud_at
from tests.rehearsal.world import World
from tests.test_tree import ROOT

AMI, OLD = {"server": "ami-0a17000000000000a"}, {"server": "ami-0df7e95b351bd8408"}
TAG = "tika-server-tika-ci"
Add = Callable[..., Found]


@pytest.fixture
def add(project: Project, redactor: Redactor) -> Add:
    """Return a function that puts a run with one step into the archive."""
    return adding(project, redactor)


def adding(project: Project, redactor: Redactor) -> Add:
    """Return a function that puts a run with one step into a project's archive."""
    schemas = {"rollout": "olrunbook/rollout/1", "up": "olrunbook/deploy/1"}

    def make(
        step: str,
        images: dict[str, str],
        how: str = "done",
        *,
        stage: str = "CI",
        cloud: str = "c1",
        status: str = "",
        result: dict[str, Any] | None = None,
        **given: Any,
    ) -> Found:
        told = {"name": step, "status": how, "headline": f"{step} of it"}
        told |= {"result": result or {"ok": True}} if how == "done" else {}
        told |= {"result_schema": schemas.get(step, "")} if how != "interrupted" else {}
        end = {"status": status or ("succeeded" if how == "done" else "failed")}
        return sealed_run(
            project,
            redactor,
            "deploy" if step == "up" else step,
            stage,
            begin={"images": images, "cloud_id": cloud},
            steps=[told],
            end={**end, "cause": "", "masked": 0},
            **given,
        )

    return make


def ci(project: Project, at: datetime | None = None) -> StageStatus:
    """Return the board's row of CI."""
    (row,) = board(project, app="tika", stage="CI", at=at).rows
    return row


def test_an_empty_archive_says_that_nothing_is_known(project: Project) -> None:
    """Without the cloud too: it says that nobody was asked, and why."""
    found = board(project, app="tika")
    assert [row.stage for row in found.rows] == ["CI", "QA", "Production"]
    assert found.headline() == "tika: nothing known in CI, QA and Production"
    assert found.asked == "the rehearsal is not up"


def test_what_serves_is_what_was_rolled_out_last(project: Project, add: Add) -> None:
    """Since the first of the rollouts of that set in a row, not since the last."""
    add("rollout", AMI)
    add("rollout", OLD)
    first = add("rollout", AMI)
    add("up", AMI)
    add("rollout", AMI)
    row = ci(project)
    assert (row.images, row.run) == (AMI, first.record.run_id)
    assert row.since == first.record.ended_at
    assert not row.later
    assert (
        board(project, app="tika", stage="CI").headline()
        == "tika: CI server=ami-0a17…00a"
    )


def test_what_was_done_since_is_told(project: Project, add: Add) -> None:
    """A failed rollout, an update cut off or not watched; an update of nothing not."""
    add("rollout", OLD)
    add("up", OLD, result={"changes": []})
    assert not ci(project).later
    add("up", AMI)
    add("rollout", AMI, "failed")
    add("up", AMI, "interrupted")
    said = board(project, app="tika", stage="CI").headline()
    assert said.endswith(" · 1 with a later event")
    row = ci(project)
    assert row.images == OLD
    assert [line.partition(" (")[0].split(", ")[1] for line in row.later] == [
        "up: up of it",
        "rollout: rollout of it",
        "up: up of it",
    ]


def test_the_archive_alone_tells_what_served_then(project: Project, add: Add) -> None:
    """Each moment has its own answer, and one within a run says that it went on."""
    first, second = add("rollout", OLD), add("rollout", AMI)
    assert ci(project, first.record.started_at).images == {}
    assert "goes on since" in ci(project, first.record.started_at).later[0]
    row = ci(project, first.record.ended_at)
    assert (row.images, row.run) == (OLD, first.record.run_id)
    assert ci(project, second.record.ended_at).images == AMI
    found = board(project, at=second.record.ended_at)
    assert not found.now
    assert "archive alone" in found.asked


def test_another_cloud_serves_nothing_here(project: Project, add: Add) -> None:
    """A rehearsal made anew has none of what the one before had."""
    add("rollout", OLD, cloud="gone")
    add("up", AMI)
    row = ci(project)
    assert row.images == {}
    assert len(row.later) == 1


def test_what_is_to_be_typed_for_a_run_that_waits_is_no_more_than_may_be() -> None:
    """One person's approval goes on at once; where people sign, it would be refused."""
    row = StageStatus(app="tika", stage="QA", waiting=["1" * 8, "2" * 8])
    row = row.model_copy(update={"signed": ["2" * 8]})
    facts = {"target": "rehearsal", "at": datetime.now(UTC), "now": True, "asked": ""}
    free, signed = (note.text for note in board_view(Board(**facts, rows=[row])).notes)
    assert free.endswith('olrunbook approve 1111…111111 --reason "…" --resume')
    how = '--reason "…" --sign KEYFILE, then olrunbook resume'
    assert signed.endswith(f"approve 2222…222222 {how} 2222…222222")


def test_runs_that_wait_and_emergencies_are_open(project: Project, add: Add) -> None:
    """Until somebody has rejected, resumed or countersigned."""
    waits = [add("preview", AMI, status="waiting").record.run_id for _ in range(3)]
    room = project.outputs / "rehearsal" / "tika" / "CI"
    alone = add("up", AMI)
    told = {"run_id": alone.record.run_id, "gate": "CI", "digest": "d"}
    entry = chain.append(room, "approved", emergency=True, person="ann", **told)
    used = chain.append(room, "used", approvals=[entry["n"]], **told)
    assert ci(project).emergencies == [alone.record.run_id]
    chain.append(room, "rejected", run_id=waits[0], gate="CI", runs=[waits[0]])
    add("up", AMI, resumes=waits[1])
    assert ci(project).waiting == [waits[2]]
    assert "1 waiting for approval · 1 not countersigned" in board(project).headline()
    again = add("preview", AMI, status="waiting", resumes=waits[2]).record.run_id
    assert (ci(project).waiting, ci(project).signed) == ([again], [])
    again = add("preview", AMI, status="waiting", resumes=waits[2]).record.run_id
    assert ci(project).waiting == [again]  # of one deploy the newest
    chain.append(room, "rejected", run_id=waits[2], gate="CI", runs=[waits[2]])
    assert ci(project).waiting == []
    chain.append(room, "countersigned", of=used["n"], **told)
    assert ci(project).emergencies == []


def test_the_command_and_the_cell_show_the_same(
    project: Project, add: Add, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first line answers; JSON for a program; a wrong time or name is usage."""
    add("rollout", AMI)

    def run(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["status", *words])
        return int(ended.value.code or 0), capsys.readouterr().out

    code, out = run("tika", "CI")
    assert code == 0
    # Not ✓: the archive says so, and the account was not asked.
    assert out.splitlines()[0] == "▲ now  tika: CI server=ami-0a17…00a"
    assert out.strip() == repr(olrunbook.status("tika", "CI")).strip()
    html = olrunbook.status("tika")._repr_mimebundle_()["text/html"]
    assert "ami-0a17000000000000a" in html
    assert run("")[0] == run("tika", "")[0] == 2
    assert json.loads(run("--json", "--at", "1h")[1])["rows"][0]["images"] == {}
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    wrong = (("tikka",), ("tika", "Moon"), ("--target", "x"), ("--at", tomorrow))
    assert [run(*words)[0] for words in wrong] == [2, 2, 2, 2]


# -- with a cloud -------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return AMIs and a template in a cloud of records."""
    with cloud_at(tmp_path_factory.mktemp("board"), FAST) as account:
        account.pace(progression="time", seconds=0.2)
        yield World(account)


@pytest.fixture
def up(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Project:
    """Return a project whose cloud is up."""
    state = world.account.target.state.parents[1]
    monkeypatch.setenv("OLRUNBOOK_STATE", str(state))
    monkeypatch.setenv("OLRUNBOOK_ARCHIVE", str(tmp_path / "outputs"))
    root = state.parent / "project"
    shutil.copy(ROOT / "catalog.toml", root)
    return find_project(root)


def update_by(
    account: Account, message: str, at: datetime, kind: str = "update"
) -> None:
    """Have the stack's history say that it was updated, or only its state."""
    name = "ol-infrastructure-tika-server/applications.tika.CI"
    key = f".pulumi/history/{name}/x-{at.timestamp():.0f}.history.json"
    seconds = int(at.timestamp())
    told = {"kind": kind, "result": "succeeded", "message": message}
    body = json.dumps({**told, "startTime": seconds, "endTime": seconds + 1})
    s3 = account.client("s3")
    s3.put_object(Bucket="mitol-pulumi-state", Key=key, Body=body.encode())


@pytest.mark.rehearsal
def test_what_no_record_explains_is_found(
    world: World, up: Project, redactor: Redactor
) -> None:
    """A refresh and an update from outside; not those of our own runs."""
    account, add = world.account, adding(up, redactor)
    cloud = account.target.cloud_id
    tag = {"Key": "Name", "Value": TAG, "PropagateAtLaunch": True}
    world.make(2, "1", Tags=[tag])
    images = {"server": world.amis[0]}
    add("rollout", images, cloud=cloud)
    seen: Board = board(up, stage="CI")
    assert seen.asked == ""
    row = seen.rows[0]
    assert (
        row.serving
        == f"2 of 2 healthy on {row.images['server'][:8]}…"
        + (row.images["server"][-3:])
    )
    assert (row.mixed, row.refresh, row.unexplained) == ("", "", [])

    now = datetime.now(UTC)
    mine = add("up", images, cloud=cloud)
    update_by(account, f"olrunbook run {mine.record.run_id}", now)
    assert ci(up).unexplained == []
    outside = now + timedelta(hours=1)
    update_by(account, "olrunbook run 0193-nobody", outside)
    assert ci(up).unexplained == [
        f"pulumi update of the stack, succeeded, began {outside:%Y-%m-%d %H:%M:%S} UTC"
    ]
    before = row.since - timedelta(hours=1)
    update_by(account, "a commit", before, "refresh")  # done with since
    update_by(account, "a commit", outside - timedelta(minutes=2), "refresh")
    ours = "olrunbook tools, by ann@host"
    update_by(account, ours, outside - timedelta(minutes=1), "refresh")
    row = ci(up)
    assert len(row.unexplained) == 1
    text = "pulumi refresh of the state by hand, succeeded, at "
    by = [line.partition(" UTC")[2] for line in row.later if line.startswith(text)]
    assert by == [" by ann@host", ", not known by whom"]


@pytest.mark.rehearsal
def test_a_backend_that_cannot_be_read_is_said(world: World, up: Project) -> None:
    """What the account says stands beside it."""
    name = "ol-infrastructure-tika-server/applications.tika.QA"
    key = f".pulumi/history/{name}/x-1.history.json"
    world.account.client("s3").put_object(
        Bucket="mitol-pulumi-state", Key=key, Body=b"{"
    )
    (row,) = board(up, app="tika", stage="QA").rows
    assert row.serving == "nothing yet"
    assert row.later[0].startswith("the stack was not asked: the state of applications")


@pytest.mark.rehearsal
def test_a_refresh_from_outside_and_mixed_instances_are_found(
    world: World, up: Project, redactor: Redactor
) -> None:
    """It is in progress, the instances differ, and no run began it."""
    (group,) = [
        one["AutoScalingGroupName"]
        for one in world.account.asg.describe_auto_scaling_groups()["AutoScalingGroups"]
    ]
    slow = {"MinHealthyPercentage": 50, "InstanceWarmup": 100_000}
    began = world.start(group, "2", **slow)
    world.account.watch(
        group, lambda _: set(world.account.versions(group)) == {"1", "2"}
    )
    row = ci(up)
    assert row.refresh.startswith(f"refresh {began[:8]} of {group}, InProgress")
    assert "template versions 1 and 2" in row.mixed
    assert any(began[:8] in line for line in row.unexplained)
    assert "1 in refresh · 1 mixed" in board(up, stage="CI").headline()
    world.account.asg.cancel_instance_refresh(AutoScalingGroupName=group)


def test_a_record_that_was_changed_is_no_evidence(project: Project, add: Add) -> None:
    """It is still named, and what is wrong with it is said."""
    run = add("rollout", AMI)
    (run.place.folder / "run.json").write_text("{}")
    row = ci(project)
    assert [line.partition(":")[0] for line in row.later] == ["no evidence"]
    assert "does not verify" in row.later[0]
