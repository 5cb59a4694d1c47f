"""The way back: which image set a stage goes back to, and what is said of it."""

from __future__ import annotations

import dataclasses
import shlex

import pytest

from olrunbook.archive.place import read_record
from olrunbook.cli import main
from olrunbook.errors import RefusedError
from olrunbook.project.catalog import find_project
from olrunbook.project.imageset import format_images
from olrunbook.record.model import RollbackRecord
from olrunbook.steps.results import DeployResult
from olrunbook.steps.rollout.model import RolloutResult
from olrunbook.steps.way_back import in_words, taken_up, way_back
from tests.archives import sealed_run
from tests.rollout import conftest as kit

aws, clock, events, app = kit.aws, kit.clock, kit.events, kit.app
base = kit.ctx
AMIS = [f"ami-0{n:016x}" for n in range(1, 5)]
SETS = [{"server": ami} for ami in AMIS]
STACK = "Pulumi.applications.tika.CI.yaml"


@pytest.fixture
def stage(project, aws, monkeypatch):
    """Return a function that lets the stage launch one of four images."""
    for ami in AMIS:
        aws.images[ami] = {"Name": f"tika-server-{ami}", "State": "available"}

    def launch(number):
        picture = kit.Picture((kit.Machine("i-1"),), template=("2", AMIS[number]))
        aws.script = [(0, picture)]

    launch(3)
    return launch


@pytest.fixture
def ctx(base, project, stage):
    """Return a run in CI of a project with an archive of its own."""
    return dataclasses.replace(base, project=project)


@pytest.fixture
def rolled(project, redactor):
    """Return a function that puts a rollout, or a deploy, into the archive."""

    def add(number, status="succeeded", result=RolloutResult, **begin):
        kinds = {RolloutResult: "rollout", DeployResult: "deploy"}
        cloud = {"cloud_id": "cloud-1", "account": "123456789012"}
        step = {"name": "up", "status": "done", "result": {"relied": "x"}}
        return sealed_run(
            project,
            redactor,
            kinds[result],
            "CI",
            begin={"images": SETS[number], **cloud, **begin},
            steps=[{**step, "result_schema": result.schema_name}],
            end={"status": status, "cause": "", "masked": 0},
        )

    return add


def revoke(aws, number, said="at noon by ann: leaks"):
    """Tag an image as revoked."""
    aws.images[AMIS[number]]["Tags"] = [{"Key": "revoked", "Value": said}]


def test_the_newest_set_that_served_well_and_is_not_the_stages_own(ctx, rolled) -> None:
    """Not one that failed, not the one that the groups launch now."""
    rolled(0)
    good = rolled(1)
    rolled(2, "failed")
    rolled(3)
    found = way_back(ctx)
    assert found.images == SETS[1]
    assert found.record.run_id == good.record.run_id
    assert found.record.left == SETS[3]
    assert f"from server={AMIS[3]} to server={AMIS[1]}" in found.record.lines[0]
    assert not found.record.revoked


def test_what_is_gone_or_revoked_is_passed_over_and_named(ctx, rolled, aws) -> None:
    """It says what it passed over, and why."""
    for number in range(3):
        rolled(number)
    del aws.images[AMIS[2]]
    revoke(aws, 1)
    found = way_back(ctx)
    assert found.images == SETS[0]
    text = "\n".join(found.record.lines)
    assert f"server={AMIS[2]}: {AMIS[2]} is gone" in text
    assert f"server={AMIS[1]}: revoked at noon by ann: leaks" in text


def test_where_all_is_revoked_it_is_the_newest_and_says_so(ctx, rolled, aws) -> None:
    """No flat refusal: people may have a reason."""
    rolled(0)
    rolled(1)
    revoke(aws, 0)
    revoke(aws, 1)
    found = way_back(ctx)
    assert found.images == SETS[1]
    assert "all else that served well in CI is revoked" in found.record.revoked
    passed = [line for line in found.record.lines if line.startswith("Passed over")]
    assert [SETS[0]["server"] in line for line in passed] == [True]  # not what is taken


def test_nothing_to_go_back_to_is_refused(ctx, rolled, aws) -> None:
    """With what was passed over; another cloud's rollouts are none."""
    rolled(1, cloud_id="gone")
    rolled(0)
    del aws.images[AMIS[0]]
    with pytest.raises(RefusedError, match="no other image set served well") as caught:
        way_back(ctx)
    assert f"{AMIS[0]} is gone" in str(caught.value)
    assert "There is no way back" in in_words(ctx)


def test_a_second_rollback_does_not_go_back_to_what_the_first_left(
    ctx, rolled, stage, capsys
) -> None:
    """What people left stays left, until it is rolled out again."""
    rolled(0)
    rolled(1)
    rolled(2)
    stage(1)
    back = RollbackRecord(left=SETS[2], run_id="r")
    rolled(1, result=DeployResult, rollback=back.model_dump())
    rolled(1)
    found = way_back(ctx)
    assert found.images == SETS[0]
    (line,) = (x for x in found.record.lines if "a rollback left it at" in x)
    typed = shlex.split(line.partition("roll it out again: ")[2].partition(")")[0])
    assert typed[:5] == ["olrunbook", "release", "tika", "--to", "CI"]
    assert typed[-1] == format_images(SETS[2])
    with pytest.raises(SystemExit):  # it is understood, but for the target
        main([*typed[1:], "--target", "nowhere"])
    assert "target 'nowhere' is unknown" in capsys.readouterr().err
    rolled(2)
    assert way_back(ctx).images == SETS[2]


def test_a_rollback_may_itself_be_taken_back(ctx, rolled, aws, stage) -> None:
    """Where nothing else is left, the set that it left comes back, with a reason."""
    rolled(2)
    rolled(1)
    back = RollbackRecord(left=SETS[2], run_id="r").model_dump()
    rolled(1, "failed", DeployResult, rollback=back)  # the update was done
    stage(1)
    found = way_back(ctx)
    assert (found.images, found.record.revoked) == (SETS[2], "")
    assert "left by a rollback; of this set: a rollback" in found.record.rolled_back
    assert not [line for line in found.record.lines if line.startswith("Passed over")]
    assert "rollback tika CI" in in_words(ctx)
    rolled(0)
    revoke(aws, 0)
    assert way_back(ctx).images == SETS[2]  # sooner than what is revoked
    revoke(aws, 2)
    found = way_back(ctx)
    assert (found.images, found.record.rolled_back) == (SETS[0], "")
    assert "is revoked" in found.record.revoked


def test_an_app_may_need_something_by_hand_first(ctx, rolled) -> None:
    """The catalog's text is in the record, and in the words of a failed rollout."""
    rolled(0)
    app = ctx.app.model_copy(update={"rollback": "migrate down"})
    found = dataclasses.replace(ctx, app=app)
    assert way_back(found).record.by_hand == "migrate down"
    assert in_words(found).endswith("rollback tika CI First by hand: migrate down")


def test_whether_the_pin_holds_outside_is_what_the_settings_say(
    ctx, rolled, project
) -> None:
    """Settings that pin the set do; settings that pin nothing may undo it."""
    rolled(0)
    text = way_back(ctx).record.lines[-1]
    assert text.startswith("The pin holds in olrunbook only: the stack's own settings")
    assert text.endswith(f"undo it. Revoke server={AMIS[3]} against that.")
    folder = project.root / "stacks" / "tika"
    folder.mkdir(parents=True)
    (folder / STACK).write_text(f"config: {{'tika:image_id': {AMIS[0]}}}")
    text = way_back(dataclasses.replace(ctx, project=find_project())).record.lines[-1]
    assert "holds outside olrunbook too" in text


def test_a_record_that_does_not_verify_is_said_and_stops_nobody(ctx, rolled) -> None:
    """A rule may keep people from harm; none stands between them and the way back."""
    place = rolled(0).place
    place.record.write_text(place.record.read_text().replace("fine", "Fine"))
    found = way_back(ctx)
    assert found.images == SETS[0]
    assert any("does not verify" in line for line in found.record.lines)


def test_a_run_that_takes_up_a_rollback_keeps_its_set(ctx, rolled) -> None:
    """Once the update is done another set would be the last good one."""
    back = RollbackRecord(left=SETS[2], run_id="r", lines=["A rollback"])
    first = rolled(1, "failed", DeployResult, rollback=back.model_dump())
    assert read_record(first.place).rollback == back
    again = rolled(1, "failed", DeployResult, resumes=first.record.run_id)
    found = taken_up(again.place)
    assert found is not None
    assert (found.images, found.record) == (SETS[1], back)
    assert taken_up(first.place) is None
