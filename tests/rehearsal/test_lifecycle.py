"""Up, down, status, reset: one process, found again, and nothing left."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from olrunbook.errors import OlrunbookError, UsageError
from olrunbook.events import Event
from olrunbook.project.catalog import find_project
from olrunbook.rehearsal import lifecycle
from olrunbook.rehearsal.daemon import take_block
from olrunbook.rehearsal.launching import end_daemon
from olrunbook.rehearsal.locking import hold
from olrunbook.rehearsal.places import Block, Places, candidate_blocks
from olrunbook.rehearsal.record import DaemonRecord, read_record
from olrunbook.targets import Target, load_target
from tests.rehearsal.support import FAST, Account, state_in

CALL = """
import sys
from pathlib import Path
from olrunbook.project.catalog import find_project
from olrunbook.rehearsal import lifecycle
from olrunbook.rehearsal.settings import Settings
settings = Settings.model_validate_json(sys.argv[2])
print(lifecycle.up(Path(sys.argv[1]), settings=settings).cloud_id)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a checkout of its own; whatever is up there is taken down at the end."""
    monkeypatch.setenv("OLRUNBOOK_STATE", str(tmp_path / "state"))
    folder = tmp_path / "project"
    folder.mkdir()
    yield folder
    lifecycle.down(folder, images=True)


@dataclass(frozen=True)
class Started:
    """A cloud that a test looks at and leaves as it is.

    Args:
        root: Its checkout.
        target: What `up` returned.
        events: What it told.

    """

    root: Path
    target: Target
    events: list[Event]


@pytest.fixture(scope="module")
def _started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("started")
    root, events = folder / "project", []
    root.mkdir()
    with state_in(folder / "state"):
        target = lifecycle.up(root, settings=FAST, emit=events.append)
        made = Started(root, target, events)
    yield made
    with state_in(folder / "state"):
        lifecycle.down(root, images=True)


@pytest.fixture
def started(_started: Started, monkeypatch: pytest.MonkeyPatch) -> Started:
    """Return a cloud that is up, with its state."""
    monkeypatch.setenv("OLRUNBOOK_STATE", str(_started.root.parent / "state"))
    return _started


def call_up(root: Path) -> subprocess.Popen[str]:
    """Call up in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", CALL, str(root), FAST.model_dump_json()],
        stdout=subprocess.PIPE,
        text=True,
    )


def record_of(root: Path) -> DaemonRecord:
    """Return the record of the process that is up."""
    record = read_record(Places.of(root).daemon_file)
    assert record is not None
    return record


def providers_of(record: DaemonRecord) -> psutil.Process:
    """Return the process that keeps the providers ready."""
    process = record.process()
    assert process is not None
    (host,) = process.children()
    assert "olrunbook.rehearsal.providers.host" in host.cmdline()
    return host


class TestUp:
    """One cloud for each checkout."""

    def test_outlives_its_caller_and_is_found(self, root: Path) -> None:
        """Two callers at once get one cloud; it serves when both are gone."""
        callers = [call_up(root), call_up(root)]
        said = {caller.communicate(timeout=120)[0].strip() for caller in callers}
        assert [caller.returncode for caller in callers] == [0, 0]
        assert len(said) == 1
        pid = record_of(root).pid
        target = lifecycle.up(root, settings=FAST)
        assert {target.cloud_id} == said
        assert target == load_target("rehearsal", find_project(here=root))
        assert record_of(root).pid == pid
        found = lifecycle.status(root)
        assert found.up
        assert found.pid == pid
        assert found.survey is not None
        assert "The rehearsal is up" in str(found)
        with pytest.raises(UsageError, match="other settings") as caught:
            lifecycle.up(root, settings=FAST.model_copy(update={"aws_order": True}))
        assert "down" in caught.value.hint

    def test_is_private(self, started: Started) -> None:
        """Keys are in private files alone; everything listens on loopback alone."""
        root, target = started.root, started.target
        places = Places.of(root)
        for path in [places.root, *places.root.iterdir()]:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert not mode & 0o077 or path == places.pulumi_home, path
        process = record_of(root).process()
        assert process is not None
        told = " ".join(
            word
            for one in [process, *process.children()]
            for word in [*one.cmdline(), *one.environ().values()]
        )
        secrets = [target.access_key.get_secret_value(), *target.secret_values()]
        assert not [secret for secret in secrets if secret in told]
        listening = process.net_connections(kind="tcp")
        hosts = {one.laddr.ip for one in listening if one.status == psutil.CONN_LISTEN}
        assert hosts == {Block(record_of(root).block).api_host}
        assert process.cwd() == "/"
        assert process.terminal() is None

    def test_tells_how_far_it_is(self, started: Started) -> None:
        """Events say what is done, and at the end where it serves."""
        assert started.events[-1].kind == "end"
        assert started.target.endpoint in started.events[-1].text

    def test_environment_finds_everything(self, started: Started) -> None:
        """The target's environment names the endpoint, both stand-ins and a HOME."""
        env = started.target.environment()
        host = f"http://{Block(record_of(started.root).block).api_host}"
        assert env["AWS_ENDPOINT_URL"] == f"{host}:4510"
        assert env["VAULT_ADDR"] == f"{host}:8200"
        assert env["CONSUL_HTTP_ADDR"] == f"{host}:8500"
        assert Path(env["AWS_CONFIG_FILE"]).read_text() == ""
        assert Path(env["PULUMI_HOME"]).is_dir()


class TestDown:
    """Nothing is left, and what an earlier one left is removed."""

    def test_leaves_nothing(self, root: Path) -> None:
        """No process, no listener, no file; a second call has nothing to do."""
        target = lifecycle.up(root, settings=FAST)
        record = record_of(root)
        host = providers_of(record)
        removed = lifecycle.down(root)
        assert removed.process == record.pid
        assert record.process() is None
        assert not host.is_running()
        host, port = target.endpoint.removeprefix("http://").split(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), 1)
        assert not Places.of(root).root.parent.exists()
        assert not lifecycle.status(root).up
        assert "nothing to take down" in str(lifecycle.down(root))

    def test_when_it_is_lost(self, root: Path, eventually: Callable[..., Any]) -> None:
        """One that was killed is seen as down, and replaced by the next up.

        One whose target file is gone is ended and started afresh. One whose folder was
        deleted, so that nobody finds it, ends by itself.
        """
        first = lifecycle.up(root, settings=FAST)
        record = record_of(root)
        host = providers_of(record)
        os.kill(record.pid, signal.SIGKILL)
        eventually(lambda: record.process() is None)
        eventually(lambda: not host.is_running() or host.status() == "zombie")
        assert not lifecycle.status(root).up
        second = lifecycle.up(root, settings=FAST)
        assert second.cloud_id != first.cloud_id
        assert lifecycle.status(root).up

        without_target = record_of(root)
        Places.of(root).target_file.unlink()
        lifecycle.up(root, settings=FAST)
        assert without_target.process() is None
        assert lifecycle.status(root).up

        without_state = record_of(root)
        shutil.rmtree(Places.of(root).root)
        eventually(lambda: without_state.process() is None)

    def test_spares_a_stranger(self, root: Path) -> None:
        """A record whose process id belongs to another process by now harms nobody."""
        places = Places.of(root)
        places.root.mkdir(parents=True)
        stranger = DaemonRecord(
            pid=os.getpid(),
            process_started=1.0,
            cloud_id="cloud-0",
            block=64,
            endpoint="http://127.64.0.1:4510",
            settings=FAST,
            started_at=datetime.now(UTC),
        )
        stranger.write(places.daemon_file)
        assert stranger.process() is None
        assert not end_daemon(stranger)
        assert lifecycle.down(root).process == 0

    def test_keeps_images(self, root: Path) -> None:
        """AMIs come back with their tags, later ones too; reset forgets them."""
        account = Account(lifecycle.up(root, settings=FAST))
        seed = account.ec2.run_instances(
            ImageId=account.base_image(), MinCount=1, MaxCount=1
        )["Instances"][0]["InstanceId"]
        ami = account.ec2.create_image(
            InstanceId=seed, Name="kept", Description="a kept one"
        )["ImageId"]
        account.ec2.get_waiter("image_available").wait(ImageIds=[ami])
        account.ec2.create_tags(
            Resources=[ami],
            Tags=[{"Key": "app", "Value": "tika"}, {"Key": "x", "Value": "y"}],
        )
        account.ec2.delete_tags(Resources=[ami], Tags=[{"Key": "x"}])
        before = account.ec2.describe_images(ImageIds=[ami])["Images"][0]
        lifecycle.down(root)
        assert [path.name for path in Places.of(root).root.iterdir()] == ["amis.json"]
        account = Account(lifecycle.up(root, settings=FAST))
        after = account.ec2.describe_images(Owners=["self"])["Images"][0]
        for key in ("ImageId", "Name", "Description", "CreationDate", "Tags", "State"):
            assert after[key] == before[key], key
        assert account.ec2.describe_instances()["Reservations"] == []
        lifecycle.down(root, images=True)
        lifecycle.up(root, settings=FAST)
        account = Account(load_target("rehearsal", find_project(here=root)))
        assert account.ec2.describe_images(Owners=["self"])["Images"] == []


class TestAddresses:
    """Blocks of loopback addresses."""

    def test_takes_the_next_free_block(self) -> None:
        """A block whose API address is taken is passed over; none free is an error."""
        blocks = iter(random.sample(range(130, 250), 100))  # rehearsals: 64 to 127
        first, listening = take_block(blocks)
        with listening:
            block, other = take_block([first.number, *blocks])
            with other:
                assert block.number != first.number
                with pytest.raises(
                    OlrunbookError, match="port 4510 is taken"
                ) as caught:
                    take_block([first.number, block.number])
                assert "ss -ltnp" in caught.value.hint

    def test_blocks_of_a_checkout(self, tmp_path: Path) -> None:
        """All 64 blocks are tried, each once, beginning with the checkout's own."""
        blocks = list(candidate_blocks(tmp_path))
        assert sorted(blocks) == list(range(64, 128))
        assert blocks == list(candidate_blocks(tmp_path))

    def test_addresses_do_not_meet(self) -> None:
        """Instances, balancers and the API have addresses of their own."""
        block = Block(70)
        instances = {block.instance(number) for number in range(0, 60_000, 7)}
        balancers = {block.balancer(number) for number in range(500)}
        assert not instances & balancers
        assert block.api_host not in instances | balancers
        assert block.instance(0) == "127.70.1.1"
        assert block.balancer(0) == "127.70.200.1"
        assert {address.split(".")[2] for address in instances} <= {
            str(number) for number in range(1, 200)
        }


class TestLock:
    """One command at a time."""

    def test_waits_and_leaves_no_file(self, tmp_path: Path) -> None:
        """A second holder waits, is told so, gives up in time; no file stays."""
        path, told = tmp_path / "deep" / "lock", []
        with (
            hold(path),
            pytest.raises(OlrunbookError, match="another command"),
            hold(path, waiting=lambda: told.append(1), limit_s=0.3),
        ):
            pass
        assert told == [1]
        assert not path.exists()
        with hold(path):
            assert path.exists()

    def test_looking_does_not_wait_for_looking(self, started: Started) -> None:
        """Two that find it up are told nothing; who would change it waits for both."""
        path, told = Places.of(started.root).lock_file, []
        with hold(path, looks=True):
            found = lifecycle.up(started.root, settings=FAST, emit=told.append)
            assert (found, told) == (started.target, [])
            with pytest.raises(OlrunbookError), hold(path, limit_s=0.2):
                pass
        looks = hold(path, looks=True, limit_s=0.2)
        with hold(path), pytest.raises(OlrunbookError), looks:
            pass


def test_record_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    """A record that is missing, cut off or of another shape is none."""
    path = tmp_path / "daemon.json"
    assert read_record(path) is None
    path.write_text('{"pid": 1')
    assert read_record(path) is None
    path.write_text(json.dumps({"pid": 1}))
    assert read_record(path) is None
