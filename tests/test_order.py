"""Rules that look at the archive."""

from __future__ import annotations

import pytest

from olrunbook.errors import RefusedError
from olrunbook.steps import order
from olrunbook.steps.images.results import ImageBuildResult
from olrunbook.steps.results import DeployResult
from olrunbook.steps.rollout.model import RolloutResult
from tests.archives import sealed_run

# What answers is the result, not the notebook's name.
SCHEMAS = {
    "image_build": ImageBuildResult.schema_name,
    "deploy": DeployResult.schema_name,
    "rollout": RolloutResult.schema_name,
}
AMI, OLD = {"server": "ami-0a17000000000000a"}, {"server": "ami-0df7e95b351bd8408"}


@pytest.fixture
def add(project, redactor):
    """Return a function that puts a finished run into the archive."""

    def make(notebook, stage, images, status="succeeded", cloud="c1"):
        step = {"name": notebook, "result": {"ok": True}, "status": "done"}
        found = sealed_run(
            project,
            redactor,
            notebook,
            stage,
            begin={"images": images, "cloud_id": cloud},
            steps=[{**step, "result_schema": SCHEMAS[notebook]}],
            end={"status": status, "cause": "", "masked": 0},
        )
        return found.place.run_id

    return make


def before(project, stage, images=AMI, cloud="c1"):
    """Ask the rule about a stage."""
    return order.require_stage_before(
        project.outputs,
        project.catalog,
        target="rehearsal",
        cloud_id=cloud,
        app="tika",
        stage=stage,
        images=images,
    )


def test_the_first_stage_needs_nothing(project) -> None:
    """CI may always be deployed."""
    assert before(project, "CI") == ""


def test_a_stage_needs_the_one_before_on_this_image_set(project, add) -> None:
    """A succeeded rollout of exactly this image set opens the next stage."""
    run_id = add("rollout", "CI", AMI)
    assert before(project, "QA") == run_id


def test_a_stage_out_of_order_is_refused_and_says_what_serves(project, add) -> None:
    """The refusal names what the stage before serves and what can be done."""
    add("rollout", "QA", OLD)
    with pytest.raises(
        RefusedError, match="Production needs a succeeded QA rollout"
    ) as caught:
        before(project, "Production")
    assert "ami-0df7" in str(caught.value)
    assert "--to QA" in caught.value.hint
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("status", ["failed", "interrupted", "refused"])
def test_a_rollout_that_did_not_succeed_opens_nothing(project, add, status) -> None:
    """Only success counts."""
    add("rollout", "CI", AMI, status)
    with pytest.raises(RefusedError):
        before(project, "QA")


def test_records_of_another_cloud_feed_no_rule(project, add) -> None:
    """A rollout in an earlier incarnation of the rehearsal is no reason."""
    add("rollout", "CI", AMI, cloud="gone")
    with pytest.raises(RefusedError):
        before(project, "QA")


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
    first, second = add("deploy", "CI", OLD), add("deploy", "CI", AMI)
    find = order.last_deploy
    assert find(project.outputs, "rehearsal", "tika", "CI").record.run_id == second
    assert (
        find(project.outputs, "rehearsal", "tika", "CI", first).record.run_id == first
    )
