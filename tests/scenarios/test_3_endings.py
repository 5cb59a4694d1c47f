"""Ctrl-C in the middle, a broken image, a hostile shell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from olrunbook.targets import Target
from tests.endings.support import Ended
from tests.endings.table import Row, Table
from tests.scenarios.support import ROOT, Desk, ask

pytestmark = pytest.mark.rehearsal


def tools_of(desk: Desk) -> list[str]:
    """Return command lines of packer and pulumi that work for a desk."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        line = " ".join(process.info["cmdline"] or [])
        home = (process.info["environ"] or {}).get("HOME", "")
        if home.startswith(str(desk.state)) and ("packer" in line or "pulumi" in line):
            found.append(line)
    return [line for line in found if "rehearsal.daemon" not in line]


def builders(desk: Desk) -> set[str]:
    """Return what Packer holds in the cloud: instances, groups, key pairs."""
    ec2 = Target.model_validate(desk.target()).client("ec2")
    held = {pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]}
    groups = ec2.describe_security_groups()["SecurityGroups"]
    held |= {group["GroupName"] for group in groups}
    alive = {"Name": "instance-state-name", "Values": ["pending", "running"]}
    for found in ec2.describe_instances(Filters=[alive])["Reservations"]:
        for one in found["Instances"]:
            if one.get("KeyName", "").startswith("packer_"):
                held.add(f"packer_ {one['InstanceId']}")
    return {name for name in held if name.startswith("packer_")}


def enter(name: str, desk: Desk, ended: Ended, since: float, cloud: str) -> None:
    """Enter an ending into the table of docs/endings.md, or compare it with that."""
    assert ended.record is not None
    (path,) = desk.archive.glob(f"*/*/*/*{ended.record.run_id}/run.json")
    ended.seconds = round(path.stat().st_mtime - since, 1)
    ended.left = list(ended.record.finishing)
    Table.note(Row.of(name, ended, cloud))


def interrupt_in(
    desk: Desk,
    words: tuple[str, ...],
    sign: str,
    number: int,
    before: Callable[[], None] = lambda: None,
) -> tuple[int, str, float]:
    """Start a command, wait for a line in its output, send a signal.

    Args:
        desk: Where.
        words: The command.
        sign: The line.
        number: The signal.
        before: Called before it is sent.

    Returns:
        Exit code, output, and when the signal was sent.

    """
    child = desk.start(*words)
    assert child.stdout is not None
    said = []
    for line in child.stdout:
        said.append(line)
        if sign in line:
            break
    else:
        pytest.fail(f"{sign!r} was never said: {''.join(said)}")
    before()
    since = time.time()
    os.kill(child.pid, number)
    rest = child.stdout.read()
    return child.wait(240), "".join(said) + rest, since


def test_ctrl_c_in_a_build_leaves_nothing_and_is_recorded(
    released: Desk, eventually
) -> None:
    """Packer cleans up under its supervisor; the next command works."""
    held: set[str] = set()
    code, said, since = interrupt_in(
        released,
        ("run", "image_build", "--app", "tika"),
        "Install a Java runtime",
        signal.SIGINT,
        lambda: held.update(builders(released)),
    )
    assert code == 130, said
    record = released.record("image_build")
    assert record.status == "interrupted"
    assert "SIGINT" in record.cause
    assert {s.name: s.status for s in record.steps}["build"] == "interrupted"
    eventually(lambda: not tools_of(released), timeout_s=120)
    containers = subprocess.run(
        [
            "docker",
            "ps",
            "--format",
            "{{.Names}}",
            "--filter",
            "label=olrunbook.cloud",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert released.run("rehearsal", "status").returncode == 0
    assert "packer" not in containers
    assert held, "Packer held nothing when it was interrupted"
    assert not builders(released)
    cloud = "none: instance, security group and key pair were there and are gone"
    enter(
        "SIGINT, the real packer in a build",
        released,
        Ended(code, said, record),
        since,
        cloud,
    )


def test_sigterm_in_an_update_stops_pulumi_once_and_the_next_one_works(
    released: Desk, eventually
) -> None:
    """One interrupt to Pulumi, no lock, nothing pending; the next deploy is fine."""
    images = f"server={released.copy_image('tika-server-interrupted')}"
    words = ("run", "deploy", "--stage", "CI", "--images", images)
    code, said, since = interrupt_in(released, words, "updating", signal.SIGTERM)
    assert code == 143, said
    record = released.record("deploy", "CI")
    assert record.status == "interrupted"
    assert "SIGTERM" in record.cause
    eventually(lambda: not tools_of(released))
    again = released.run(*words)
    assert again.returncode == 0, again.stdout + again.stderr
    cloud = "those of the stack, all in its state: the next deploy went through"
    ended = Ended(code, said, record)
    enter("SIGTERM, the real pulumi in an `up`", released, ended, since, cloud)


def test_a_release_that_is_interrupted_has_a_record(released: Desk) -> None:
    """The release's own record names the run that was cut off; exit code 130."""
    code, said, _ = interrupt_in(
        released, ("release", "tika"), "image_test", signal.SIGINT
    )
    assert code == 130, said
    record = released.record("release")
    assert record.status == "interrupted"
    assert [part.status for part in record.parts] == ["interrupted"]


@pytest.fixture
def one_stage(tmp_path: Path) -> Iterator[Desk]:
    """Return a desk in the example's project with Production alone (two instances)."""
    root = shutil.copytree(ROOT / "examples" / "hello", tmp_path / "other")
    catalog = (root / "catalog.toml").read_text()
    order = 'order = ["CI", "QA", "Production"]'
    assert order in catalog
    (root / "catalog.toml").write_text(catalog.replace(order, 'order = ["Production"]'))
    made = Desk(root, tmp_path / "state", tmp_path / "outputs")
    yield made
    made.run("rehearsal", "down", "--images")
    shutil.rmtree(root)


def test_the_example_is_released_beside_another_project(
    released: Desk, one_stage: Desk
) -> None:
    """A project of one's own has a rehearsal of its own; both go on."""
    images = one_stage.bake("marker=good")
    good = one_stage.run("release", "hello", "--images", images)
    assert good.returncode == 0, good.stdout + good.stderr
    assert one_stage.target()["endpoint"] != released.target()["endpoint"]
    url = one_stage.result("deploy", "up")["url"]
    assert "marked good" in ask(url + "/")[1]
    assert released.run("rehearsal", "status").returncode == 0
