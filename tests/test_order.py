"""Rules that look at the archive, and at the account where the archive has no word."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from olrunbook.errors import RefusedError
from olrunbook.project.catalog import find_project
from olrunbook.record.files import short
from olrunbook.record.model import RollbackRecord
from olrunbook.steps import order
from olrunbook.steps.images.results import ImageBuildResult
from olrunbook.steps.results import DeployResult
from olrunbook.steps.rollout.model import RolloutResult
from tests.archives import sealed_run
from tests.rollout import conftest as kit

aws, clock, events, ctx, app = kit.aws, kit.clock, kit.events, kit.ctx, kit.app

# What answers is the result, not the notebook's name.
SCHEMAS = {
    "image_build": ImageBuildResult.schema_name,
    "deploy": DeployResult.schema_name,
    "rollout": RolloutResult.schema_name,
}
AMI, OLD = {"server": kit.NEW}, {"server": kit.OLD}


@pytest.fixture
def cloud():
    """Return what a record says of the cloud that is up."""
    return {"cloud_id": "cloud-1", "account": "123456789012"}


@pytest.fixture
def add(project, redactor, cloud):
    """Return a function that puts a finished run into the archive."""

    def make(notebook, stage, images, status="succeeded", **begin):
        step = {"name": notebook, "result": {"ok": True}, "status": "done"}
        return sealed_run(
            project,
            redactor,
            notebook,
            stage,
            begin={"images": images, **cloud, **begin},
            steps=[{**step, "result_schema": SCHEMAS[notebook]}],
            end={"status": status, "cause": "", "masked": 0},
        ).place

    return make


@pytest.fixture
def before(project, ctx):
    """Return a function that asks the guard about a stage."""

    def ask(stage, images=AMI, rollback=None, **changes):
        now = {"stage": stage, "project": find_project(project.root)}
        now |= {"clock": lambda: datetime.now(UTC), **changes}
        run = dataclasses.replace(ctx, **now)
        return order.require_stage_before(run, images, rollback)

    return ask


def serving(aws, image, number=1):
    """Have every group of the account run an image."""
    machines = tuple(kit.Machine(f"i-{n}", image) for n in range(number))
    groups = tuple((f"g-{s}", f"tika-server-tika-{s}") for s in ("ci", "qa"))
    aws.script = [(0, kit.Picture(machines, desired=number, groups=groups))]


def test_the_first_stage_needs_nothing(before) -> None:
    """CI may always be deployed."""
    assert before("CI").on == "first stage"


def test_a_stage_needs_the_one_before_on_this_image_set(before, add) -> None:
    """A succeeded rollout of exactly this image set opens the next stage."""
    place = add("rollout", "CI", AMI)
    relied = before("QA")
    assert (relied.on, relied.run_id) == ("archive", place.run_id)
    assert "CI rolled out these images at" in relied.text


def test_a_stage_out_of_order_is_refused_and_says_what_serves(before, add) -> None:
    """The refusal names what the stage before serves and what can be done."""
    add("rollout", "QA", OLD)
    with pytest.raises(
        RefusedError, match="Production needs a succeeded QA rollout"
    ) as caught:
        before("Production")
    assert "ami-0df7" in str(caught.value)
    assert "The account says of QA now: nothing yet" in str(caught.value)
    assert "--to QA" in caught.value.hint
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("status", ["failed", "interrupted", "refused"])
def test_a_rollout_that_did_not_succeed_opens_nothing(before, add, aws, status) -> None:
    """Only success counts, and the newest: what serves there now is no excuse."""
    serving(aws, kit.NEW)
    add("rollout", "CI", AMI)
    place = add("rollout", "CI", AMI, status)
    add("rollout", "CI", OLD)
    which = short(place.run_id)
    with pytest.raises(RefusedError, match=f"run {which} {status}") as caught:
        before("QA")
    assert caught.value.hint.startswith("olrunbook release tika --to CI --images")
    again = add("rollout", "CI", AMI)
    assert before("QA").run_id == again.run_id


def test_a_rollout_that_was_cut_off_opens_nothing(
    project, redactor, before, cloud, aws
) -> None:
    """It has no result, and the archive has a word of it all the same."""
    serving(aws, kit.NEW)
    step = {"name": "rollout", "status": "interrupted", "cause": "Ctrl-C"}
    end = {"status": "interrupted", "cause": "Ctrl-C"}
    given = {"begin": {"images": AMI, **cloud}, "steps": [step], "end": end}
    sealed_run(project, redactor, "rollout", "CI", **given)
    with pytest.raises(RefusedError, match="interrupted: Ctrl-C"):
        before("QA")


def test_what_a_rollout_is_hangs_on_its_result(
    project, redactor, before, cloud
) -> None:
    """A team's step may have any name; one that only has the kit's opens nothing."""

    def end(name, status, **result):
        steps = [{"name": name, "status": status, "cause": "sick", **result}]
        how = "succeeded" if status == "done" else status
        given = {"begin": {"images": AMI, **cloud}, "steps": steps}
        return sealed_run(
            project, redactor, "ours", "CI", end={"status": how, "cause": ""}, **given
        ).record.run_id

    end("rollout", "done")
    with pytest.raises(RefusedError, match="there is none"):
        before("QA")
    shown = {"result": {"ok": True}, "result_schema": SCHEMAS["rollout"]}
    good = end("watch_it", "done", **shown)
    end("rollout", "done")
    assert before("QA").run_id == good
    seen = {**shown, "result": {"outcome": "failed"}}
    bad = end("watch_it", "done", **seen)
    with pytest.raises(RefusedError, match=f"{short(bad)} saw it fail"):
        before("QA")
    end("watch_it", "failed", **shown)
    with pytest.raises(RefusedError, match="failed"):
        before("QA")


def test_a_set_that_a_rollback_left_opens_nothing(before, add, aws) -> None:
    """Until it is rolled out there again, whatever the account says."""
    serving(aws, kit.NEW)
    add("rollout", "CI", AMI)
    back = RollbackRecord(left=AMI, run_id="r").model_dump()
    add("deploy", "CI", OLD, rollback=back)
    with pytest.raises(RefusedError, match="a rollback of CI left it at"):
        before("QA")
    again = add("rollout", "CI", AMI)
    assert before("QA").run_id == again.run_id


@pytest.mark.parametrize("end", ["left", "half", "failed"])
def test_a_set_that_the_stage_itself_gave_up_is_no_evidence_for_it(
    before, add, aws, end
) -> None:
    """It served well there once; the newest word counts, and a good one before it."""
    serving(aws, kit.OLD)
    add("rollout", "QA", AMI)
    assert before("QA").on == "served here"
    back = RollbackRecord(left=AMI, run_id="r")
    if end != "failed":  # the rollback's update counts, however its run ended
        status = "succeeded" if end == "left" else "failed"
        add("deploy", "QA", OLD, status, rollback=back.model_dump())
    else:
        add("rollout", "QA", AMI, "failed")
    with pytest.raises(RefusedError, match=r"In QA: (a rollback of QA left|run .* fa)"):
        before("QA")
    assert before("QA", rollback=back).on == "rollback"
    add("rollout", "CI", AMI)
    assert before("QA").on == "archive"


@pytest.mark.parametrize("other", [{"cloud_id": "gone"}, {"account": "9"}])
def test_records_of_another_cloud_or_account_feed_no_rule(before, add, other) -> None:
    """A rollout in an earlier incarnation of the rehearsal is no reason."""
    add("rollout", "CI", AMI, **other)
    with pytest.raises(RefusedError):
        before("QA")


def test_a_record_that_does_not_verify_opens_nothing(before, add, aws) -> None:
    """Whoever edits a record, or its chain, is told so; only the account may do."""
    serving(aws, kit.OLD)
    place = add("rollout", "CI", AMI)
    text = place.record.read_text()
    place.record.write_text(text.replace('"app": "tika"', '"app": "Tika"'))
    with pytest.raises(RefusedError, match=r"not verify: .* account says of CI"):
        before("QA")
    place.record.write_text(text)
    assert before("QA").on == "archive"


@pytest.mark.parametrize("lost", ["head", "line"])
def test_a_chain_that_is_broken_closes_no_stage_for_good(
    before, add, aws, lost
) -> None:
    """It never verifies again: the account is asked, and both are said."""
    add("rollout", "CI", OLD)
    room = add("rollout", "CI", AMI).folder.parent
    if lost == "head":
        (room / "chain.head").unlink()
    else:
        lines = (room / "chain.jsonl").read_text().splitlines(keepends=True)
        (room / "chain.jsonl").write_text("".join(lines[:-1]))
    place = add("rollout", "CI", AMI)
    which = f"run {short(place.run_id)} does not verify: "
    serving(aws, kit.OLD)
    with pytest.raises(RefusedError, match=which):
        before("QA")
    serving(aws, kit.NEW)
    relied = before("QA")
    assert relied.on == "account"
    assert relied.text.startswith(f"the record of {which}")
    assert "; the account says that CI runs these images on all" in relied.text
    add("rollout", "CI", AMI, "failed")
    with pytest.raises(RefusedError, match="failed"):
        before("QA")


def test_a_rollout_may_be_too_old(project, before, add, aws) -> None:
    """The catalog says how old; the account's word may be too old as well."""
    head = "[targets.rehearsal]\n"
    text = project.catalog_file.read_text()
    project.catalog_file.write_text(text.replace(head, head + 'fresh = "3 days"\n'))
    serving(aws, kit.NEW)
    late = {"clock": lambda: datetime.now(UTC) + timedelta(days=4)}
    with pytest.raises(RefusedError, match=r"CI runs it, but that is of .* older than"):
        before("QA", **late)
    place = add("rollout", "CI", AMI)
    assert before("QA").run_id == place.run_id
    with pytest.raises(RefusedError, match=r"is of .* older than 3 days") as caught:
        before("QA", **late)
    assert "The account" not in str(caught.value)


def test_a_refusal_names_what_the_newest_rollout_that_verifies_serves(
    project, before, add
) -> None:
    """No older set where the wanted one serves now, and none that does not verify."""
    head = "[targets.rehearsal]\n"
    text = project.catalog_file.read_text()
    project.catalog_file.write_text(text.replace(head, head + 'fresh = "3 days"\n'))
    late = {"clock": lambda: datetime.now(UTC) + timedelta(days=4)}

    def said():
        with pytest.raises(RefusedError, match="older than 3 days") as caught:
            before("QA", **late)
        return str(caught.value)

    add("rollout", "CI", {"server": "ami-0a17000000000000a"})
    add("rollout", "CI", AMI)
    assert "CI serves" not in said()
    good = add("rollout", "CI", OLD)
    assert f"CI serves server={kit.OLD} since" in said()
    bad = add("rollout", "CI", {"server": "ami-0bbbbbbbbbbbbbbbb"})
    bad.record.write_text(bad.record.read_text().replace('"app": "tika"', '"app": "T"'))
    assert f"(run {short(good.run_id)})" in said()


def test_where_the_archive_has_no_record_the_account_is_asked(before, aws) -> None:
    """All instances of the stage before in service on the set, and since when."""
    serving(aws, kit.NEW, 2)
    relied = before("QA")
    assert (relied.on, relied.run_id, relied.since) == ("account", "", kit.START)
    assert "all instances since 2026-11-23 15:00 UTC" in relied.text
    serving(aws, kit.OLD)
    with pytest.raises(RefusedError, match="1 of 1 healthy on ami-0df7…408"):
        before("QA")


def test_half_a_stage_on_the_set_opens_nothing(before, aws) -> None:
    """A refresh that goes on, an instance that is sick: not in full."""
    mixed = (kit.Machine("i-1"), kit.Machine("i-2", kit.OLD))
    sick = (kit.Machine("i-1"), kit.Machine("i-2", target="unhealthy"))
    for machines in (mixed, sick, mixed[:1]):
        aws.script = [(0, kit.Picture(machines, desired=2))]
        with pytest.raises(RefusedError, match="The account says of CI now"):
            before("QA")


def test_what_served_well_in_a_stage_may_come_back(before, add, aws) -> None:
    """Whatever the stage before runs now."""
    serving(aws, kit.OLD)
    place = add("rollout", "QA", AMI)
    relied = before("QA")
    assert (relied.on, relied.run_id) == ("served here", place.run_id)


def test_a_rollback_needs_nothing_of_the_stage_before(before) -> None:
    """It names the rollout by which the set served well."""
    back = RollbackRecord(left=OLD, run_id="0193-run")
    relied = before("Production", rollback=back)
    assert (relied.on, relied.run_id) == ("rollback", "0193-run")


def test_the_image_set_built_last_is_taken(project, add) -> None:
    """Without a parameter the newest succeeded build is deployed, no failed one."""
    with pytest.raises(RefusedError, match="no image"):
        order.images_for(project.outputs, "rehearsal", "tika", ["server"], "")
    add("image_build", "", OLD)
    add("image_build", "", AMI)
    add("image_build", "", {"server": "ami-0bad"}, "failed")
    images, source = order.images_for(
        project.outputs, "rehearsal", "tika", ["server"], ""
    )
    assert images == AMI
    assert source.startswith("built by run")


def test_a_rollout_needs_a_deploy(project, add) -> None:
    """A rollout follows a succeeded deploy: the named one, else the newest."""
    with pytest.raises(RefusedError, match="no succeeded deploy"):
        order.last_deploy(project.outputs, "rehearsal", "tika", "CI")
    first, second = (add("deploy", "CI", images).run_id for images in (OLD, AMI))
    find = order.last_deploy
    assert find(project.outputs, "rehearsal", "tika", "CI").record.run_id == second
    assert (
        find(project.outputs, "rehearsal", "tika", "CI", first).record.run_id == first
    )
