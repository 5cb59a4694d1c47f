"""One rehearsal for all scenarios, its light images, and a desk for each of them.

A scenario has a project of its own (a git checkout with one app), so that what is
changed in one is no change in another. All share the cloud and the archive.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from olrunbook.adapters.docker.command import docker
from olrunbook.project.where import cache_dir
from olrunbook.rehearsal.places import Places
from olrunbook.rehearsal.settings import Settings
from olrunbook.targets import Target, save_target, state_dir
from tests.account import Person
from tests.proxied import Network
from tests.rehearsal.support import Account, cloud_at, state_in
from tests.scenarios.scene import KillEngine, Replay, Scene
from tests.scenarios.support import Desk

ACCOUNT = "account"  # the target of kind aws
LIGHT = Path(__file__).with_name("light")
# AWS's hour, after which a refresh gives up, is 36 s: enough to boot when all is busy.
# Tokens of an account live 6 s: they expire in the midst of builds and updates.
SETTINGS = Settings(time_scale=0.01, token_s=6)
# Images by name: what they do when they boot.
IMAGES = {
    "one": "good",
    "two": "good",
    "three": "good",
    "broken": "broken",
    "slow": "slow",
    "sick": "sick",
}
PEOPLE = ("ann", "bob", "mallory")  # the last one may not sign
SEED = """#!/bin/sh
mkdir /etc/light
cat >/sbin/light <<'PERL'
{program}
PERL
chmod 755 /sbin/light
rm /sbin/init
ln -s light /sbin/init
echo ready >/etc/light/kind
"""


@dataclass
class World:
    """What all scenarios share.

    Args:
        account: The cloud's account.
        folder: Where everything is.
        images: Name to the id of an image.

    """

    account: Account
    folder: Path
    images: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def archive(self) -> Path:
        """The archive of all scenarios."""
        return self.folder / "outputs"

    @property
    def repository(self) -> str:
        """Name of the images' container images, without the tag."""
        with self.lock, state_in(self.folder / "state"):
            return Places.of(self.folder / "project").ami_repository

    def key(self, person: str) -> Path:
        """Return where a person's key is."""
        return self.folder / "keys" / person

    def make(self) -> None:
        """Make the images and the keys."""
        keys = self.folder / "keys"
        keys.mkdir()
        for person in PEOPLE:
            words = ["-q", "-t", "ed25519", "-N", "", "-C", person, "-f"]
            subprocess.run(["ssh-keygen", *words, keys / person], check=True)
        ec2 = self.account.ec2
        text = SEED.format(program=(LIGHT / "init.pl").read_text())
        seed = ec2.run_instances(
            ImageId=self.account.base_image(),
            MinCount=1,
            MaxCount=1,
            UserData=text,
        )["Instances"][0]["InstanceId"]
        until(lambda: "ready" in self.inside(seed, "cat /etc/light/kind || true"))
        for name, kind in IMAGES.items():
            self.inside(seed, f"echo {kind} >/etc/light/kind")
            made = ec2.create_image(InstanceId=seed, Name=f"light-{name}")["ImageId"]
            ec2.describe_images(ImageIds=[made])  # answers when it is made
            self.images[name] = made
        ec2.terminate_instances(InstanceIds=[seed])

    @staticmethod
    def inside(instance: str, script: str) -> str:
        """Run a shell script in an instance, as soon as it is there."""
        until(lambda: instance in docker("ps", "--format", "{{.Names}}").split())
        return docker("exec", instance, "sh", "-c", script)

    def desk(
        self,
        name: str,
        scene: Scene,
        endpoint: str = "",
        network: Network | None = None,
    ) -> Desk:
        """Return a desk for a scenario, in a project of its own.

        Args:
            name: The app's name.
            scene: The scenario.
            endpoint: Where its commands find the AWS API; empty: where it is.
            network: By what its person alone reaches it.

        """
        root, state = self.folder / "desks" / name, self.folder / "state"
        shutil.copytree(LIGHT, root)
        (root / "catalog.toml").write_text(catalog(name, scene))
        may = [f"{one}@example.org {self.public(one)}" for one in PEOPLE[:2]]
        (root / "allowed_signers").write_text("\n".join([*may, ""]))
        (root / "rules").mkdir()
        for stage in scene.stages:
            settings(root, name, stage, scene)
        self.join(root, endpoint)
        # What is written into a chain by hand is found by `verify`, as it should be; a
        # run that died gets its record from whoever comes next: that is to be us.
        alone = scene.has(Replay) or scene.has(KillEngine)
        own = self.archive.with_name(f"outputs-{name}")
        desk = Desk(root, state, own if alone else self.archive)
        if scene.account:
            desk.name, desk.more = ACCOUNT, self.person(name, endpoint)
        if network:
            config = Path(desk.more["HOME"]) / ".aws" / "config"
            network.into(config, self.account.target.endpoint)
            desk.more |= network.shell
        return desk

    def join(self, root: Path, endpoint: str = "") -> None:
        """Make a project a checkout that works on the cloud of all."""
        git(root, "init", "--quiet")
        git(root, "config", "user.name", "operator")
        git(root, "config", "user.email", "operator@example.org")
        commit(root)
        with self.lock, state_in(self.folder / "state"):
            mine, shared = Places.of(root), Places.of(self.folder / "project")
        mine.root.mkdir(parents=True, mode=0o700)
        shutil.copy(shared.daemon_file, mine.daemon_file)
        where = {
            "state": mine.root,
            "endpoint": endpoint or self.account.target.endpoint,
        }
        save_target(self.account.target.model_copy(update=where))

    def person(self, name: str, endpoint: str = "") -> dict[str, str]:
        """Return the shell of a person with the cloud as their account.

        Args:
            name: The scenario's, for their home.
            endpoint: Where they find its API; empty: where it is.

        """
        home = self.folder / "people" / name
        home.mkdir(parents=True)
        Person(self.account, home).write()
        config = home / ".aws" / "config"
        own, text = self.account.target.endpoint, config.read_text()
        config.write_text(text.replace(own, endpoint or own))
        return {
            "HOME": str(home),
            "OLRUNBOOK_CACHE": str(cache_dir()),
            "PULUMI_HOME": self.account.target.env["PULUMI_HOME"],
        }

    def public(self, person: str) -> str:
        """Return a person's public key."""
        return self.key(person).with_suffix(".pub").read_text().strip()


def target_of(desk: Desk) -> Target:
    """Return the target of a desk, as its commands read it; as the cloud has it."""
    if desk.name == ACCOUNT:
        state = desk.state / state_dir(desk.root).name / ACCOUNT
        (path,) = desk.state.glob("project-????????/rehearsal/target.json")
        cloud = Target.model_validate(json.loads(path.read_text()))
        own = {"state": state, "cloud_id": "aws-123456789012-us-east-1"}
        return cloud.model_copy(update=own)
    (path,) = desk.state.glob(f"{desk.root.name}-????????/rehearsal/target.json")
    return Target.model_validate(json.loads(path.read_text()))


def until(true: Any, timeout_s: float = 60, what: str = "") -> Any:
    """Wait until a condition is true, and return it."""
    end = time.monotonic() + timeout_s
    while not (found := true()):
        assert time.monotonic() < end, f"not true within {timeout_s} s: {what}"
        time.sleep(0.05)
    return found


def git(root: Path, *words: str) -> None:
    """Run git in a desk's project."""
    subprocess.run(["git", "-C", root, *words], check=True, capture_output=True)


def commit(root: Path) -> None:
    """Commit everything in a desk's project."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "a scenario")


def settings(
    root: Path, name: str, stage: str, scene: Scene, **more: Any
) -> dict[str, Any]:
    """Write the settings of a stage's stack."""
    groups = [group.model_dump() for group in scene.groups]
    config = {"aws:region": "us-east-1", "light:groups": groups, **more}
    file = root / "stacks" / "light" / f"Pulumi.light.{name}.{stage}.yaml"
    provider = "awskms://alias/infrastructure-secrets-ci"
    file.write_text(json.dumps({"secretsprovider": provider, "config": config}))
    return config


def catalog(name: str, scene: Scene) -> str:
    """Return the catalog of a scenario."""
    nodes = list(dict.fromkeys(group.node for group in scene.groups))
    tags = {
        node: [
            f"{name}-{g.name}-{{stage_lower}}" for g in scene.groups if g.node == node
        ]
        for node in nodes
    }
    balanced = any(group.balanced for group in scene.groups)
    check = {"name": "it answers", "path": "/", "contains": "light"}
    app = {
        "title": scene.title,
        "node_types": nodes,
        "image": {
            "template": "images/light/light.pkr.hcl",
            "only": "amazon-ebs.light",
            "deploy": "images/light/deploy.py",
            "name": "light-*",
            **scene.app.get("image", {}),
        },
        "stack": {
            "path": "stacks/light",
            "project": "light",
            "stack": f"light.{name}.{{stage}}",
            "image_config": {node: f"light:image_{node}" for node in nodes},
            "groups": tags,
        },
        "checks": [check] if balanced else [],
        **{name: value for name, value in scene.app.items() if name != "image"},
    }
    target = {
        "title": "the rehearsal of all scenarios",
        "signers": "allowed_signers",
        "gates": scene.gates,
    }
    if scene.account:
        role = "arn:aws:{}::123456789012:{}role/olrunbook-{{stage_lower}}"
        target |= {
            "title": "the cloud of all scenarios, as an account",
            "kind": "aws",
            "account": "123456789012",
            "region": "us-east-1",
            "profile": "base",
            "role": role.format("iam", ""),
            "identity": role.format("sts", "assumed-") + "/*",
        }
    target |= scene.target
    whole = {
        "schema": 1,
        "targets": {ACCOUNT if scene.account else "rehearsal": target},
        "stages": {"order": scene.stages},
        "apps": {name: app},
    }
    return "\n".join(f"{key} = {toml(value)}" for key, value in whole.items()) + "\n"


def toml(value: Any) -> str:
    """Return a value as TOML writes it in a line."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


@contextmanager
def world_at(folder: Path) -> Iterator[World]:
    """Have the world of the scenarios for a while."""
    with cloud_at(folder, SETTINGS) as account:
        world = World(account, folder)
        world.make()
        yield world
