"""The example's stack: another project's folder with the components shipped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from olrunbook.project.catalog import find_project
from olrunbook.steps.deploy import update as deploy
from tests.pulumi.conftest import ROOT, Deploys

pytestmark = pytest.mark.rehearsal


def test_a_copied_stack_folder_needs_no_code_in_the_package(deploys: Deploys) -> None:
    """The project's own stack, olrunbook's components, no Vault, no secret."""
    ec2 = deploys.account.ec2
    seed = ec2.run_instances(
        ImageId=deploys.account.base_image(), MinCount=1, MaxCount=1
    )["Instances"][0]["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[seed])
    image = ec2.create_image(InstanceId=seed, Name="hello-web-20261124000001")[
        "ImageId"
    ]
    ec2.get_waiter("image_available").wait(
        ImageIds=[image], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    project = find_project(ROOT / "examples" / "hello")
    app = project.catalog.app("hello")
    run = replace(deploys.run(), project=project, app_name="hello", app=app)

    plan = deploy.preview(run, {"web": image})
    done = deploy.up(run, plan)

    assert plan.apart == []
    assert done.counts == {"create": 11}
    assert done.groups[0].tag_name == "hello-web-hello-ci"
    assert [one.image for one in done.groups[0].instances] == [image]
    assert done.url.startswith("https://127.")
