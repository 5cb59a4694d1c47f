"""The tika stack and its component, run under Pulumi's mocks: no engine, no cloud."""

from __future__ import annotations

import base64
import json
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import mocks

from olrunbook.project.catalog import find_project

# The SDKs warn of their own old names when they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ROOT = Path(__file__).resolve().parents[2]
STACKS = ROOT / "stacks"
TOKEN = "a-made-up-token"
NEWEST, PINNED = "ami-0aaaaaaaaaaaaaaaa", "ami-0bbbbbbbbbbbbbbbb"
Made = dict[str, tuple[str, dict[str, Any]]]


class Cloud(mocks.Mocks):
    """Answers lookups and notes every resource."""

    def __init__(self) -> None:
        self.made: Made = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Note it, and return what a cloud would add."""
        self.made[args.name] = (args.typ, args.inputs)
        more = {"arn": f"arn:{args.name}", "dnsName": f"{args.name}.example.org"}
        return f"{args.name}-id", {**args.inputs, "name": args.name, **more}

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        """Answer a lookup."""
        self.asked.append((args.token, args.args))
        wanted = {
            item["name"]: item["values"] for item in args.args.get("filters") or []
        }
        return {
            "aws:ec2/getAmi:getAmi": {"id": wanted.get("image-id", [NEWEST])[0]},
            "aws:ec2/getVpc:getVpc": {"id": "vpc-1"},
            "aws:ec2/getSubnets:getSubnets": {
                "id": "x",
                "ids": ["subnet-b", "subnet-a", "subnet-c"],
            },
            "aws:ec2/getSubnet:getSubnet": {
                "availabilityZone": "us-east-1b"
                if args.args.get("id") == "subnet-c"
                else "us-east-1a"
            },
            "aws:index/getCallerIdentity:getCallerIdentity": {
                "accountId": "123456789012"
            },
            "aws:acm/getCertificate:getCertificate": {"arn": "arn:certificate"},
            "aws:route53/getZone:getZone": {"zoneId": "Z1"},
        }[args.token]


@pytest.fixture
def deploy() -> Iterator[Callable[..., Cloud]]:
    """Return a function that runs the tika program for a stage under mocks."""
    before = set(sys.modules), list(sys.path)

    def run(stage: str, **config: str) -> Cloud:
        file = STACKS / "tika" / f"Pulumi.applications.tika.{stage}.yaml"
        given = yaml.safe_load(file.read_text())["config"]
        flat = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in given.items()
        }
        flat |= {"tika:access_token": TOKEN}
        flat |= {f"tika:{key}": value for key, value in config.items()}
        cloud = Cloud()
        name = f"applications.tika.{stage}"
        mocks.set_mocks(cloud, "ol-infrastructure-tika-server", name)
        pulumi.runtime.set_all_config(flat, ["tika:access_token"])
        program = str(STACKS / "tika" / "__main__.py")

        @mocks.test
        def run_program() -> None:
            runpy.run_path(program, run_name="__main__")

        run_program()
        return cloud

    yield run
    for name in set(sys.modules) - before[0]:
        if name.split(".")[0] == "components":
            del sys.modules[name]
    sys.path[:] = before[1]


def one(cloud: Cloud, token: str) -> dict[str, Any]:
    """Return the inputs of the only resource of a type."""
    (found,) = [inputs for kind, inputs in cloud.made.values() if kind == token]
    return found


@pytest.mark.parametrize(
    ("stage", "sizes"),
    [("CI", (1, 1, 2)), ("QA", (1, 1, 2)), ("Production", (2, 2, 3))],
)
def test_each_stage_has_its_own_size(
    deploy: Callable[..., Cloud], stage: str, sizes: tuple[int, int, int]
) -> None:
    """Minimum, desired and maximum as in ol-infrastructure."""
    group = one(deploy(stage), "aws:autoscaling/group:Group")

    assert (group["minSize"], group["desiredCapacity"], group["maxSize"]) == sizes


def test_the_group_refreshes_when_its_tag_changes(deploy: Callable[..., Cloud]) -> None:
    """Trigger `tag`, the image in a tag, `$Latest`, min healthy 50, no warm-up."""
    group = one(deploy("CI"), "aws:autoscaling/group:Group")

    assert group["instanceRefresh"] == {
        "strategy": "Rolling",
        "triggers": ["tag"],
        "preferences": {"minHealthyPercentage": 50, "instanceWarmup": "0"},
    }
    assert group["launchTemplate"]["version"] == "$Latest"
    assert group["healthCheckType"] == "ELB"
    assert "healthCheckGracePeriod" not in group
    tags = {tag["key"]: tag["value"] for tag in group["tags"]}
    assert tags == {
        "ami_id": NEWEST,
        "Environment": "tika-ci",
        "Name": "tika-server-tika-ci",
        "OU": "operations",
        "pulumi_managed": "true",
    }
    assert all(tag["propagateAtLaunch"] for tag in group["tags"])


def test_the_group_is_found_by_the_name_in_the_catalog(
    deploy: Callable[..., Cloud],
) -> None:
    """The catalog's tag pattern and the program agree in every stage."""
    spec = find_project(ROOT).catalog.app("tika").stack
    assert spec
    for stage in ("CI", "QA", "Production"):
        group = one(deploy(stage), "aws:autoscaling/group:Group")
        tags = {tag["key"]: tag["value"] for tag in group["tags"]}
        assert spec.group_tags(stage) == [("server", tags["Name"])]


def test_without_a_pin_the_newest_own_image_is_taken(
    deploy: Callable[..., Cloud],
) -> None:
    """As upstream does: newest `tika-server-*` of the caller's account."""
    cloud = deploy("CI")

    (args,) = [args for token, args in cloud.asked if "getAmi" in token]
    assert args["mostRecent"] is True
    assert args["owners"] == ["123456789012"]
    assert {"name": "name", "values": ["tika-server-*"]} in args["filters"]


def test_a_pinned_image_is_in_template_tag_and_vault(
    deploy: Callable[..., Cloud],
) -> None:
    """One image, three places; and it must be one of tika's."""
    cloud = deploy("CI", image_id=PINNED)

    assert one(cloud, "aws:ec2/launchTemplate:LaunchTemplate")["imageId"] == PINNED
    role = one(cloud, "vault:aws/authBackendRole:AuthBackendRole")
    assert role["boundAmiIds"] == [PINNED]
    tags = one(cloud, "aws:autoscaling/group:Group")["tags"]
    assert {"key": "ami_id", "value": PINNED, "propagateAtLaunch": True} in tags
    (args,) = [args for token, args in cloud.asked if "getAmi" in token]
    assert {"name": "image-id", "values": [PINNED]} in args["filters"]


def test_the_token_reaches_the_instance_by_user_data(
    deploy: Callable[..., Cloud],
) -> None:
    """A cloud-config that writes it for root alone, and the environment's name."""
    given = one(deploy("QA"), "aws:ec2/launchTemplate:LaunchTemplate")["userData"]
    if isinstance(given, dict):
        given = given["value"]
    text = base64.b64decode(given).decode()

    assert text.startswith("#cloud-config\n")
    files = {file["path"]: file for file in yaml.safe_load(text)["write_files"]}
    token = files["/etc/tika/access_token.env"]
    assert token["encoding"] == "b64"
    assert base64.b64decode(token["content"]).decode() == f"X_ACCESS_TOKEN={TOKEN}\n"
    assert (token["permissions"], token["owner"]) == ("0600", "root:root")
    name = base64.b64decode(files["/etc/tika/environment"]["content"]).decode()
    assert name == "ENVIRONMENT=tika-qa\n"


def test_the_load_balancer_checks_the_version_over_https(
    deploy: Callable[..., Cloud],
) -> None:
    """Port 443 on both sides, one subnet for each zone, fixed names."""
    cloud = deploy("CI")

    group = one(cloud, "aws:lb/targetGroup:TargetGroup")
    assert (group["name"], group["port"], group["protocol"]) == (
        "tika-server-tika-ci-tg",
        443,
        "HTTPS",
    )
    assert group["healthCheck"]["path"] == "/version"
    assert group["healthCheck"]["matcher"] == "200"
    balancer = one(cloud, "aws:lb/loadBalancer:LoadBalancer")
    assert balancer["name"] == "tika-server-tika-ci-lb"
    assert balancer["subnets"] == ["subnet-a", "subnet-c"]
    listener = one(cloud, "aws:lb/listener:Listener")
    assert listener["certificateArn"] == "arn:certificate"


def test_only_the_load_balancer_reaches_the_instances(
    deploy: Callable[..., Cloud],
) -> None:
    """The instances' security group names the balancer's, and no address."""
    cloud = deploy("CI")
    groups = {
        name: inputs
        for name, (kind, inputs) in cloud.made.items()
        if kind == "aws:ec2/securityGroup:SecurityGroup"
    }
    (rule,) = groups["tika-server-security-group-tika-ci"]["ingress"]

    assert rule["securityGroups"] == [
        "tika-server-load-balancer-security-group-tika-ci-id"
    ]
    assert "cidrBlocks" not in rule


def test_the_stack_has_seventeen_resources(deploy: Callable[..., Cloud]) -> None:
    """Sixteen and the stack itself, as many as the how-to's."""
    made = [
        kind for kind, _ in deploy("CI").made.values() if kind != "pulumi:pulumi:Stack"
    ]

    assert len(made) == 16


def test_stack_files_name_no_rehearsal_and_no_secret() -> None:
    """They are the ones a real account gets."""
    for file in STACKS.rglob("*"):
        if file.is_file() and file.suffix in (".py", ".yaml", ".hcl"):
            text = file.read_text()
            assert "127.0.0" not in text, file
            assert "endpoint" not in text, file
            assert "import olrunbook" not in text, file
            assert "from olrunbook" not in text, file
            assert "secure:" not in text, file


def test_projects_and_stacks_are_named_as_in_the_catalog() -> None:
    """Pulumi.yaml, the stages' files and the catalog agree."""
    catalog = find_project(ROOT).catalog
    for app in catalog.apps.values():
        if not app.stack:
            continue
        folder = ROOT / app.stack.path
        project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
        assert project["name"] == app.stack.project
        assert project["runtime"] == "python"
        for stage in catalog.stages.order:
            assert (folder / f"Pulumi.{app.stack.stack_name(stage)}.yaml").is_file()
