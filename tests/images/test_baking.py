"""Images baked for real, by Packer in the rehearsal's account."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from olrunbook import toolchain
from olrunbook.errors import ToolError
from olrunbook.steps.images.build import build, validate
from tests.images.conftest import ROOT
from tests.images.projects import small_project
from tests.rehearsal.support import REAL, Account, cloud_at

pytestmark = pytest.mark.rehearsal


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Return a cloud of containers of this module's own."""
    tools = toolchain.ensure(["packer", "packer-plugin-amazon"]).environment()
    folders = tools.pop("PATH", "").split(os.pathsep)
    with cloud_at(tmp_path_factory.mktemp("baking"), REAL) as account:
        env = {**account.target.env, **tools}
        yield Account(account.target.model_copy(update={"path": folders, "env": env}))


def held(account: Account) -> dict[str, Any]:
    """Return what of Packer's is in the account."""
    instances = [
        one["InstanceId"]
        for reservation in account.ec2.describe_instances()["Reservations"]
        for one in reservation["Instances"]
        if one["State"]["Name"] not in ("terminated", "shutting-down")
    ]
    groups = account.ec2.describe_security_groups()["SecurityGroups"]
    pairs = account.ec2.describe_key_pairs()["KeyPairs"]
    return {
        "instances": instances,
        "groups": [one["GroupId"] for one in groups if "packer" in one["GroupName"]],
        "pairs": [one["KeyName"] for one in pairs if "packer" in one["KeyName"]],
        "images": account.ec2.describe_images(Owners=["self"])["Images"],
    }


EMPTY: dict[str, Any] = {"instances": [], "groups": [], "pairs": []}


def nothing_of_packers(account: Account) -> bool:
    """Return whether no builder is left in the account."""
    return {**held(account), "images": 0} == {**EMPTY, "images": 0}


def test_the_example_is_baked_and_leaves_only_its_image(
    account, hello, context
) -> None:
    """One available image that names its run, commit and packages; no builder is left.

    Nothing is written beside the sources.
    """
    before = sorted(hello.root.rglob("*"))
    ctx = context("hello", place=account.target, project=hello)
    assert validate(ctx).headline().startswith("3 of 3 checks passed")
    result = build(ctx, variables={"marker": "first"})
    [image] = account.ec2.describe_images(ImageIds=[result.images["web"]])["Images"]
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    assert image["State"] == "available"
    assert (tags["run_id"], tags["commit"]) == (ctx.run_id, ctx.commit.sha)
    built = result.builds[0]
    assert built.base_name.startswith("debian-12-amd64")
    assert {"provisioning", "creating image"} <= {phase.name for phase in built.phases}
    packages = (ctx.logs / Path(built.packages_file).name).read_text()
    assert packages.count("\n") == built.packages
    assert "caddy\t" in packages
    assert nothing_of_packers(account)
    assert sorted(hello.root.rglob("*")) == before
    assert not list(ctx.work.rglob("key"))


READS = """
packer {
  required_plugins {
    amazon = { source = "github.com/hashicorp/amazon", version = "~> 1.0" }
  }
}
source "amazon-ebs" "third-party" {
  ami_name      = "${file("../../src/words")}-${file("${path.cwd}/src/words")}"
  instance_type = "t3a.medium"
  source_ami    = "ami-0"
  ssh_username  = "admin"
}
build {
  sources = ["amazon-ebs.third-party"]
}
"""


def test_a_template_reads_a_file_of_another_folder(account, context, tmp_path) -> None:
    """From the template, and from the root of the repository, where Packer works."""
    project = small_project(tmp_path / "reads", "")
    for name, text in (
        ("images/default/own.pkr.hcl", READS.lstrip()),
        ("src/words", "words"),
    ):
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        (project.root / name).write_text(text)
    subprocess.run(["git", "init", "--quiet", project.root], check=True)
    ctx = context("small", place=account.target, project=project)
    assert validate(ctx).headline().startswith("3 of 3 checks passed")


FAILING = """
    from pyinfra.operations import server
    server.shell(name="Good", commands=["true"])
    server.shell(name="Bad", commands=["echo this is why >&2; exit 3"])
"""


def test_a_failing_deploy_leaves_nothing(account, context, tmp_path) -> None:
    """The error carries the operation's output; builder, key and group are gone."""
    project = small_project(tmp_path / "failing", FAILING)
    before = len(held(account)["images"])
    ctx = context("small", place=account.target, project=project)
    with pytest.raises(ToolError, match="operation 'Bad' failed\n  this is why"):
        build(ctx)
    assert nothing_of_packers(account)
    assert len(held(account)["images"]) == before
    assert not list(ctx.work.rglob("key"))


def test_abort_leaves_the_builder_and_names_it(account, context, tmp_path) -> None:
    """What stays in the account is in the hint, by id."""
    project = small_project(tmp_path / "aborting", FAILING)
    ctx = context("small", place=account.target, project=project)
    with pytest.raises(ToolError) as caught:
        build(ctx, on_error="abort")
    left = held(account)
    assert "on_error=abort leaves in the account: instance" in caught.value.hint
    assert left["instances"][0] in caught.value.hint
    assert left["pairs"][0] in caught.value.hint
    account.ec2.terminate_instances(InstanceIds=left["instances"])
    account.ec2.delete_key_pair(KeyName=left["pairs"][0])
    account.ec2.delete_security_group(GroupId=left["groups"][0])
    assert nothing_of_packers(account)


SLEEPER = """
    from pyinfra.operations import server
    server.shell(name="Sleep", commands=["sleep 120"])
"""
RUN = """
    import os, sys, uuid
    from pathlib import Path
    from olrunbook.project.catalog import Project
    from olrunbook.errors import InterruptedRunError
    from olrunbook.redact import Redactor, new_key
    from olrunbook.adapters.context import Commit, Context
    from olrunbook.steps.images.build import build
    from olrunbook.targets import Target
    root, work = Path(os.environ["PROJECT"]), Path(os.environ["WORK"])
    project = Project(root, root / "catalog.toml")
    target = Target.model_validate_json(sys.stdin.read())
    try:
        build(Context(
            project=project, place=target, app_name="small",
            app=project.catalog.app("small"), stage="", run_id=str(uuid.uuid4()),
            commit=Commit("c"), logs=work, work=work, redactor=Redactor(new_key()),
            emit=lambda event: print(event.text, flush=True),
        ))
    except InterruptedRunError as error:
        print("INTERRUPTED", error, flush=True)
        sys.exit(130)
"""


@pytest.fixture
def building(account: Account, tmp_path: Path) -> Callable[[], subprocess.Popen[str]]:
    """Return a function that starts two builds and waits until both provision."""
    project = small_project(tmp_path / "sleeper", SLEEPER, "web", "worker")
    work = tmp_path / "building"
    work.mkdir()
    target = account.target
    shown = target.model_dump(mode="json", by_alias=True)
    shown["access_key"] = target.access_key.get_secret_value()
    shown["secret_key"] = target.secret_key.get_secret_value()

    def start() -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(RUN)],
            cwd=ROOT,
            env={**os.environ, "PROJECT": str(project.root), "WORK": str(work)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(shown))
        child.stdin.close()
        awaited = {"web: Sleep", "worker: Sleep"}
        while awaited:
            line = child.stdout.readline()
            assert line, f"never came to {awaited}"
            awaited.discard(line.strip())
        return child

    return start


def tools(word: str) -> list[psutil.Process]:
    """Return the processes whose command line holds a word."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(word in part for part in process.info["cmdline"] or [])
    ]


def test_an_interrupted_build_cleans_up(
    account, building, tmp_path, eventually
) -> None:
    """Ctrl-C: both Packers remove builder, key and group; the error says what is left.

    The builder's key is off this machine, and no tool goes on.
    """
    child = building()
    work = tmp_path / "building"
    assert len(list(work.rglob("key"))) == 2
    child.send_signal(signal.SIGINT)
    rest = child.stdout.read()
    assert child.wait(60) == 130
    assert "packer was interrupted" in rest
    eventually(lambda: nothing_of_packers(account))
    eventually(lambda: not tools(str(work)))
    assert not list(work.rglob("key"))


def test_a_killed_build_is_cleaned_up_by_its_supervisor(
    account, building, tmp_path, eventually
) -> None:
    """Kill -9 of the run: each supervisor tells its Packer, which removes all of it."""
    child = building()
    work = tmp_path / "building"
    child.kill()
    child.wait(90)
    eventually(lambda: nothing_of_packers(account))
    eventually(lambda: not tools(str(work)))
    assert not list(work.rglob("key"))
    for node in ("web", "worker"):
        assert "Cleanly cancelled" in (work / f"packer-{node}.log").read_text()
