"""Notebooks stepped through cell by cell, as in JupyterLab, on a cloud of records."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from olrunbook import toolchain
from olrunbook.archive.dead import close_dead
from olrunbook.archive.place import list_runs, read_record
from olrunbook.targets import save_target
from tests.notebooks.nbval import by_nbval
from tests.rehearsal.support import FAST, Account, cloud_at

pytestmark = pytest.mark.rehearsal

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Desk:
    """A project with a cloud of records: its image, and the kernel's environment."""

    folder: Path
    image: str
    env: dict[str, str]


def bake(account: Account) -> str:
    """Return an image of Tika by its name; nothing is in it."""
    ec2 = account.ec2
    seed = ec2.run_instances(ImageId=account.base_image(), MinCount=1, MaxCount=1)
    instance = seed["Instances"][0]["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance])
    name = "tika-server-20261124000001"
    image: str = ec2.create_image(InstanceId=instance, Name=name)["ImageId"]
    waiting = {"Delay": 1, "MaxAttempts": 60}
    ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig=waiting)
    return image


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Return a desk of the tests' own."""
    folder = tmp_path_factory.mktemp("nbval")
    with cloud_at(folder, FAST) as account:
        tools = toolchain.ensure(["pulumi"]).environment()["PATH"]
        save_target(account.target.model_copy(update={"path": [tools]}))
        shutil.copy(ROOT / "catalog.toml", folder / "project")
        env = {
            **os.environ,
            "OLRUNBOOK_PROJECT": str(folder / "project"),
            "OLRUNBOOK_STATE": str(folder / "state"),
            "OLRUNBOOK_ARCHIVE": str(folder / "outputs"),
            "IPYTHONDIR": str(folder / "ipython"),
        }
        yield Desk(folder, bake(account), env)
        close_dead(folder / "outputs")  # of a run that nbval killed


def test_deploy_passes_cell_by_cell_and_is_recorded(desk: Desk) -> None:
    """Every cell passes; the last one seals a record like that of a headless run."""
    given = {"images": f"server={desk.image}"}
    done = by_nbval("deploy", given, folder=desk.folder, env=desk.env)
    assert done.returncode == 0, done.stdout + done.stderr
    (place,) = list_runs(desk.folder / "outputs", app="tika", room="CI")
    record = read_record(place)
    assert record is not None
    assert record.status == "succeeded"
    assert [step.name for step in record.steps] == [
        "preflight",
        "preview",
        "gate",
        "up",
    ]
    assert record.images == {"server": desk.image}


def test_a_refusal_fails_its_cell_and_those_after_it(desk: Desk) -> None:
    """Production before CI and QA: the preflight ends it before anything changed."""
    given = {"images": f"server={desk.image}", "stage": "Production"}
    done = by_nbval("deploy", given, folder=desk.folder, env=desk.env)
    assert done.returncode == 1
    assert "Production needs a succeeded QA rollout" in done.stdout
    assert "17 to create" not in done.stdout
