"""The Concourse stack under Pulumi's mocks: one group with a balancer, two without."""

from __future__ import annotations

import base64
import json
import runpy
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import mocks

from olrunbook.project.catalog import find_project
from tests.pulumi.test_stack import NEWEST, PINNED, ROOT, STACKS, Cloud, one

# The SDKs warn of their own old names when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SECRETS = {"concourse:worker_key": "made-up-key", "concourse:api_token": "made-up"}
GROUP = "aws:autoscaling/group:Group"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
TARGETS = "aws:lb/targetGroup:TargetGroup"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


@pytest.fixture
def deploy() -> Iterator[Callable[..., Cloud]]:
    """Return a function that runs the program for a stage under mocks."""
    before = set(sys.modules), list(sys.path)

    def run(stage: str, **config: str) -> Cloud:
        file = STACKS / "concourse" / f"Pulumi.applications.concourse.{stage}.yaml"
        given = yaml.safe_load(file.read_text())["config"]
        flat = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in given.items()
        }
        flat |= SECRETS
        flat |= {f"concourse:{key}": value for key, value in config.items()}
        cloud = Cloud()
        name = f"applications.concourse.{stage}"
        mocks.set_mocks(cloud, "ol-infrastructure-concourse-application", name)
        pulumi.runtime.set_all_config(flat, list(SECRETS))

        @mocks.test
        def run_program() -> None:
            program = str(STACKS / "concourse" / "__main__.py")
            runpy.run_path(program, run_name="__main__")

        run_program()
        return cloud

    yield run
    for name in set(sys.modules) - before[0]:
        if name.split(".")[0] == "components":
            del sys.modules[name]
    sys.path[:] = before[1]


def all_of(cloud: Cloud, token: str) -> list[dict[str, Any]]:
    """Return the inputs of the resources of a type."""
    return [inputs for kind, inputs in cloud.made.values() if kind == token]


def tags_of(group: dict[str, Any]) -> dict[str, str]:
    """Return a group's tags."""
    return {tag["key"]: tag["value"] for tag in group["tags"]}


def first_boot(template: dict[str, Any]) -> dict[str, str]:
    """Return what the user data of a template writes for the service."""
    given = template["userData"]
    text = base64.b64decode(given["value"] if isinstance(given, dict) else given)
    (file,) = yaml.safe_load(text)["write_files"]
    assert (file["path"], file["permissions"]) == ("/etc/concourse/stage.json", "0600")
    found: dict[str, str] = json.loads(base64.b64decode(file["content"]))
    return found


@pytest.mark.parametrize("stage", ["CI", "QA", "Production"])
def test_the_groups_are_those_of_the_catalog(
    deploy: Callable[..., Cloud], stage: str
) -> None:
    """Each tag of the catalog is one group's, and each group's is in the catalog."""
    spec = find_project(ROOT).catalog.app("concourse").stack
    assert spec is not None
    groups = [tags_of(group) for group in all_of(deploy(stage), GROUP)]

    assert sorted(tags["Name"] for tags in groups) == sorted(
        tag for _, tag in spec.group_tags(stage)
    )
    by_tag = {tag: node for node, tag in spec.group_tags(stage)}
    for tags in groups:
        assert tags["concourse_type"].partition("-")[0] == by_tag[tags["Name"]]
        assert tags["Environment"] == f"operations-{stage.lower()}"


def test_only_the_webs_are_behind_a_balancer(deploy: Callable[..., Cloud]) -> None:
    """Workers are judged by EC2, and nothing from outside reaches them."""
    cloud = deploy("CI")
    groups = {tags_of(g)["concourse_type"]: g for g in all_of(cloud, GROUP)}

    assert groups["web"]["healthCheckType"] == "ELB"
    assert len(groups["web"]["targetGroupArns"]) == 1
    for kind in ("worker-infra", "worker-ocw"):
        assert groups[kind]["healthCheckType"] == "EC2"
        assert not groups[kind].get("targetGroupArns")
    target = one(cloud, "aws:lb/targetGroup:TargetGroup")
    assert target["healthCheck"]["path"] == "/api/v1/info"
    inside = [t["vpcSecurityGroupIds"] for t in all_of(cloud, TEMPLATE)]
    assert sorted(map(len, inside)) == [1, 1, 2]


def test_what_an_update_may_leave_behind_has_a_name(
    deploy: Callable[..., Cloud],
) -> None:
    """`doctor` looks for orphans by the tag Name of the stage's groups."""
    spec = find_project(ROOT).catalog.app("concourse").stack
    assert spec is not None
    words = {word for _, word in spec.group_tags("QA")}
    found = [
        (kind, inputs["tags"])
        for kind, inputs in deploy("QA").made.values()
        if kind in {TEMPLATE, BALANCER, TARGETS, SECURITY_GROUP}
    ]
    assert len(found) == 3 + 1 + 1 + 3
    assert [kind for kind, tags in found if tags.get("Name") not in words] == []


def test_an_image_for_each_node_type(deploy: Callable[..., Cloud]) -> None:
    """Pinned apart: both worker groups get the worker's, without a pin the newest."""
    cloud = deploy("CI", worker_image_id=PINNED)
    images = {
        tags_of(group)["concourse_type"]: tags_of(group)["ami_id"]
        for group in all_of(cloud, GROUP)
    }

    assert images == {"web": NEWEST, "worker-infra": PINNED, "worker-ocw": PINNED}
    pinned = [t["imageId"] for t in all_of(cloud, TEMPLATE)]
    assert sorted(pinned) == sorted(images.values())


def test_user_data_says_who_an_instance_is(deploy: Callable[..., Cloud]) -> None:
    """All have the worker key; the token of the API is the web's alone."""
    found = [first_boot(t) for t in all_of(deploy("QA"), TEMPLATE)]
    shared = {"environment": "concourse-qa", "worker_key": "made-up-key"}

    assert {**shared, "api_token": "made-up"} in found
    assert {**shared, "tag": "infra"} in found
    assert {**shared, "tag": "ocw"} in found
