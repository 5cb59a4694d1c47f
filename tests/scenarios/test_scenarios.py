"""Every scenario of this folder's `*.toml`, on one rehearsal, several side by side."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

import pytest

from olrunbook.archive import verifier
from olrunbook.archive.chain import entries
from olrunbook.archive.place import list_runs, read_record
from olrunbook.steps.approval.decisions import of_kind
from tests.account import Person
from tests.proxied import PASSWORD, network_before
from tests.scenarios.faulty import faulty
from tests.scenarios.permissions import calls, lacking, made, runs
from tests.scenarios.play import Play
from tests.scenarios.scene import Api, Replay, Scene, read_scene
from tests.scenarios.world import ACCOUNT, SETTINGS, World, world_at

pytestmark = pytest.mark.rehearsal

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.toml"))
# Scenarios wait for the cloud a part of their time: more than cores, but not many.
LANES = int(os.environ.get("OLRUNBOOK_LANES", "3"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return the world of all scenarios."""
    with world_at(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(scope="module")
def played(
    world: World, request: pytest.FixtureRequest
) -> Iterator[dict[str, Future[None]]]:
    """Return what comes of each scenario that was selected; they are played now."""
    names = [
        item.callspec.params["file"]
        for item in request.session.items
        if item.fspath == request.path and hasattr(item, "callspec")
    ]
    scenes = {file.stem: read_scene(file) for file in names}
    # The long ones first, so that no lane is alone with one in the end.
    order = sorted(scenes, key=lambda n: (not scenes[n].waits, -len(scenes[n].acts)))
    on: list[Play] = []
    with ThreadPoolExecutor(LANES) as lanes:
        yield {n: lanes.submit(play, world, n, scenes[n], on) for n in order}
        lanes.shutdown(wait=False, cancel_futures=True)  # the tests were stopped
        for one in on:
            one.stop()


def play(world: World, name: str, scene: Scene, on: list[Play]) -> None:
    """Play one scenario; while it is played it is in `on`."""
    with ExitStack() as stack:
        api = network = None
        endpoint, folder = world.account.target.endpoint, world.folder / "networks"
        if scene.has(Api):
            api = stack.enter_context(faulty(endpoint))
        if scene.proxied:
            way = network_before(endpoint, folder / name)
            network = stack.enter_context(way)
        desk = world.desk(name, scene, api.url if api else "", network)
        played = Play(world, name, scene, desk, faulty=api)
        stack.callback(played.close)
        on.append(played)
        stack.callback(on.remove, played)
        played.play()
        assert not api or api.mood in {"well", *api.met}, "no request met that"
        if network:
            # Nobody else is at 0.0.0.0:1: who has worked has come through.
            go = {agent for agent in network.agents if "aws-sdk-go" in agent}
            packer = {agent for agent in go if "packer-plugin-amazon" in agent}
            assert packer, network.agents
            assert go - packer, network.agents  # Pulumi's backend and KMS
            assert not network.refused


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_scenario(file: Path, played: dict[str, Future[None]]) -> None:
    """It ends as its file says."""
    played[file.stem].result()


def test_no_approval_was_used_twice(
    world: World, played: dict[str, Future[None]]
) -> None:
    """Over the chains of all scenarios: each approval stands in one `used` at most."""
    wait(played.values())
    chains = list(world.folder.glob("outputs*/*/*/*/chain.jsonl"))
    assert chains
    for file in chains:
        used = of_kind(entries(file.parent), "used")
        numbers = [number for entry in used for number in entry["approvals"]]
        assert len(numbers) == len(set(numbers)), file


def test_no_credential_of_a_person_is_kept(
    world: World, played: dict[str, Future[None]]
) -> None:
    """No key of theirs, password of their proxy, or key of a role, in what is kept."""
    wait(played.values())
    secrets = Person(world.account, world.folder).secrets()
    own = [secret.encode() for secret in [*secrets, PASSWORD]]
    given = re.compile(rb"ASIA[A-Z0-9]{16}|FwoGZXIvYXdz")  # ids of keys, and tokens
    places = ("outputs*", "desks", f"state/*/{ACCOUNT}")  # desks: what was said
    folders = [folder for place in places for folder in world.folder.glob(place)]
    files = [f for folder in folders for f in folder.rglob("*") if f.is_file()]
    assert files
    for file in files:
        data = file.read_bytes()
        assert not [secret for secret in own if secret in data], file
        assert not given.search(data), file


def test_no_run_makes_a_call_that_its_policy_lacks(
    world: World, played: dict[str, Future[None]]
) -> None:
    """Also where something fails, is repaired, is approved or goes back."""
    wait(played.values())
    asked = calls(world.account.target)
    every = [
        run for file in world.folder.glob("outputs*") for run in runs(file).items()
    ]
    assert {call["caller"] for call in asked} & {caller for caller, _ in every}
    for name in played:
        its = {caller: run for caller, run in every if run.app == name}
        root = world.folder / "desks" / name
        if its and root.is_dir():
            assert not [*lacking(asked, its, made(root, name))], name


def test_the_archive_of_all_scenarios_verifies(
    world: World, played: dict[str, Future[None]]
) -> None:
    """Whatever was killed or refused: every record and chain is good."""
    wait(played.values())
    for archive in world.folder.glob("outputs*"):
        name = archive.name.partition("-")[2]
        if name not in played or not read_scene(FOLDER / f"{name}.toml").has(Replay):
            report = verifier.verify(str(archive))
            assert report["good"], "\n".join(verifier.lines(report))


def test_tokens_of_an_account_expire_in_the_midst(
    world: World, played: dict[str, Future[None]]
) -> None:
    """Of a build and of an update: each took longer than a token lives."""
    wait(played.values())
    took: dict[str, float] = {}
    for place in list_runs(world.archive, target=ACCOUNT):
        record = read_record(place)
        for step in record.steps if record else ():
            if step.status == "done":
                took[step.name] = max(took.get(step.name, 0), step.seconds or 0)
    if "release-waits" in played:
        assert min(took["build"], took["up"]) > SETTINGS.token_s, took
