"""A cloud of records with Pulumi on its PATH, and runs of tika in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from olrunbook import toolchain
from olrunbook.adapters.context import Commit, Context
from olrunbook.events import Event
from olrunbook.project.catalog import find_project
from olrunbook.redact import Redactor, new_key
from olrunbook.rehearsal.providers import aws
from olrunbook.rehearsal.providers.handler import Caller
from olrunbook.rehearsal.settings import Settings
from olrunbook.targets import Target
from tests.rehearsal.support import FAST, Account, cloud_at

ROOT = Path(__file__).resolve().parents[2]
# An instance needs so long to run that a creation can be interrupted meanwhile.
SLOW = FAST.model_copy(update={"boot_s": 20.0})


@dataclass
class Deploys:
    """A cloud, two images of tika in it, and runs that deploy them.

    Args:
        account: The cloud's account.
        target: Its target, with Pulumi on the PATH.
        folder: Where runs keep their logs and scratch folders.
        images: Two images of tika.
        events: What the runs said.

    """

    account: Account
    target: Target
    folder: Path
    images: list[str]
    events: list[Event] = field(default_factory=list)

    def run(self, stage: str = "CI", app: str = "tika") -> Context:
        """Return a run of its own: fresh redactor, logs and scratch folder."""
        project = find_project(ROOT)
        number = len(list(self.folder.glob("run-*")))
        folder = self.folder / f"run-{number}"
        folder.mkdir(parents=True)
        self.events.clear()
        return Context(
            project=project,
            place=self.target,
            app_name=app,
            app=project.catalog.app(app),
            stage=stage,
            run_id=f"run-{number}",
            commit=Commit("0" * 40),
            logs=folder / "logs",
            work=folder / "work",
            redactor=Redactor(new_key(), self.target.secret_values()),
            emit=self.events.append,
        )


def deploys_at(folder: Path, settings: Settings) -> Iterator[Deploys]:
    """Have a cloud with two images of tika for a while."""
    tools = toolchain.ensure(["pulumi"]).environment()
    with cloud_at(folder, settings) as account:
        target = account.target.model_copy(update={"path": [tools["PATH"]]})
        ec2 = account.ec2
        seed = ec2.run_instances(ImageId=account.base_image(), MinCount=1, MaxCount=1)[
            "Instances"
        ][0]["InstanceId"]
        if settings.boot_s < 1:
            ec2.get_waiter("instance_running").wait(InstanceIds=[seed])
        images = [
            ec2.create_image(InstanceId=seed, Name=f"tika-server-2026112400000{n}")
            for n in (1, 2)
        ]
        ids = [image["ImageId"] for image in images]
        ec2.get_waiter("image_available").wait(
            ImageIds=ids, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        yield Deploys(account, target, folder / "runs", ids)


@pytest.fixture(scope="session")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Return a fast cloud without containers for the handlers' tests."""
    with cloud_at(tmp_path_factory.mktemp("records"), FAST) as account:
        account.pace(progression="time", seconds=0.2)
        yield account


@pytest.fixture(scope="module")
def deploys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploys]:
    """Return a fast cloud for the tests of a module, in which nothing is deployed."""
    yield from deploys_at(tmp_path_factory.mktemp("deploys"), FAST)


@pytest.fixture(scope="module")
def slow_deploys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploys]:
    """Return a cloud in which an instance needs long to run."""
    yield from deploys_at(tmp_path_factory.mktemp("slow"), SLOW)


@pytest.fixture
def texts_below() -> Callable[[Path], str]:
    """Return a function that returns the text of every file below a folder."""

    def read(folder: Path) -> str:
        files = [file for file in folder.rglob("*") if file.is_file()]
        return "\n".join(file.read_text(errors="replace") for file in files)

    return read


@pytest.fixture
def call(records: Account) -> Caller:
    """Return a caller of the cloud, as the plugin makes one of its environment."""
    return aws.connect({"region": "us-east-1"}, records.target.environment())
