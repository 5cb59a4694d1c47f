"""A repository that exists: its packages, its Python, its names; one file is added."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from olrunbook.project.imageset import format_images
from olrunbook.project.where import cache_dir
from tests.rehearsal.support import cloud_at
from tests.scenarios.support import ROOT, Desk
from tests.scenarios.world import SETTINGS, World, target_of

pytestmark = pytest.mark.rehearsal

TREE = ROOT / "tests" / "adopted" / "tree"
# Made by set-up of the tree's own lock: Pulumi, pulumi-aws and pyinfra of 2024
THEIRS = ROOT / ".venv-theirs"
# What the tools need of a person; no record may have any of it.
SEAL, TOKEN, FILE = "the-seal-of-7-seas", "a-token-for-9-harbors", "a-file-with-5-words"


class Adopted(Desk):
    """A person's shell in the tree, with what the catalog names of it."""

    def files(self) -> dict[str, bytes]:
        """Return every file of the checkout, but git's own and the Python."""
        apart = {".git", ".venv", "outputs"}
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and path.relative_to(self.root).parts[0] not in apart
        }


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopted]:
    """Return a shell in a checkout of the tree, on a cloud without its image."""
    folder = tmp_path_factory.mktemp("adopted")
    root, home = folder / "desks" / "harbor", folder / "home"
    shutil.copytree(TREE, root)
    (root / ".venv").symlink_to(THEIRS)
    home.mkdir()
    (home / "bin").mkdir()
    (home / "bin" / "uv").symlink_to(THEIRS / "bin" / "uv")
    (home / ".harbor-token").write_text(FILE)
    with cloud_at(folder, SETTINGS) as account:
        World(account, folder).join(root)
        own = {"HARBOR_SEAL": SEAL, "HARBOR_TOKEN": TOKEN, "HOME": str(home)}
        own["OLRUNBOOK_CACHE"] = str(cache_dir())
        own["PATH"] = os.pathsep.join([str(home / "bin"), os.environ["PATH"]])
        yield Adopted(root, folder / "state", folder / "outputs", own)


@pytest.fixture(scope="module")
def released(adopted: Adopted) -> Adopted:
    """Return it after a release of the app whose image is pinned."""
    before = adopted.files()
    done = adopted.run("release", "light")
    assert done.returncode == 0, done.stdout + done.stderr
    assert adopted.files() == before
    return adopted


def test_it_is_released_as_it_is(released: Adopted) -> None:
    """Test, build, and both stages: the deploy and the stack import their packages."""
    for stage in ("CI", "Live"):
        (check,) = released.result("rollout", "checks", stage)["answers"]
        assert check["ok"], check
    image = released.result("image_build", "build")["builds"][0]
    assert image["name"].startswith("lighthouse-server-")
    assert ".venv/bin" not in image["by_hand"]
    plan = released.result("deploy", "preview", "CI")
    assert plan["stack"] == "applications.lighthouse.CI"
    rows = released.result("image_build", "preflight")["rows"]
    (row,) = (row for row in rows if row["name"] == "commands before images")
    assert row["found"] == "2 ended well"


def test_its_own_packages_are_what_runs(released: Adopted) -> None:
    """Those of its lock, older than ours: the stack's state names their provider."""
    asks = "import importlib.metadata as m; print(m.version('pulumi-aws'))"
    words = [THEIRS / "bin" / "python", "-c", asks]
    theirs = subprocess.check_output(words, text=True).strip()
    folder = "src/harbor_infra/applications/lighthouse"
    words = ("stack", "export", "-s", "applications.lighthouse.CI", "-C", folder)
    done = released.run("tools", "pulumi", *words)
    assert done.returncode == 0, done.stderr
    resources = json.loads(done.stdout)["deployment"]["resources"]
    (aws,) = (one for one in resources if one["type"] == "pulumi:providers:aws")
    assert aws["inputs"]["version"] == theirs


def test_what_a_person_gives_its_tools_is_in_no_record(released: Adopted) -> None:
    """Neither what the shell holds, nor a file of the home, nor what a command said."""
    files = [path for path in released.archive.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        text = path.read_bytes()
        for secret in (SEAL, TOKEN, FILE):
            assert secret.encode() not in text, path


def test_a_tool_called_by_hand_is_called_as_a_run_calls_it(released: Adopted) -> None:
    """With the stack's copy, its secrets of this cloud, and what the catalog names."""
    folder = "src/harbor_infra/applications/lighthouse"
    words = ("config", "-s", "applications.lighthouse.CI", "-C", folder)
    before = released.files()
    done = released.run("tools", "pulumi", *words)
    assert done.returncode == 0, done.stderr
    assert "size" in done.stdout
    done = released.run("tools", "pulumi", *words, HARBOR_TOKEN="")
    assert done.returncode == 2
    assert "HARBOR_TOKEN needs HARBOR_TOKEN" in done.stderr
    assert released.files() == before


def test_a_variable_that_is_not_set_stops_before_anything_runs(
    adopted: Adopted,
) -> None:
    """The exit code is that of wrong usage, and the variable is named."""
    done = adopted.run("run", "image_test", "-p", "app", "light", HARBOR_SEAL="")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "SEAL needs HARBOR_SEAL, which is not set" in done.stdout + done.stderr


def test_an_empty_secret_stops_a_build(adopted: Adopted) -> None:
    """It is refused in the preflight; what the command said is not told."""
    done = adopted.run("run", "image_build", "-p", "app", "light", HARBOR_SEAL="gone")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "does not hold SEAL=the-" in done.stdout + done.stderr
    assert "gone" not in done.stdout + done.stderr


def test_a_program_that_looks_its_image_up_deploys_the_newest(
    released: Adopted,
) -> None:
    """Any other set is refused, and what the program chose is named."""
    old = released.record("deploy", "CI").images
    ec2 = target_of(released).client("ec2")
    name = "lighthouse-server-29990101000000"
    copy = {"SourceImageId": old["server"], "SourceRegion": "us-east-1", "Name": name}
    new = ec2.copy_image(**copy)["ImageId"]
    words = ("run", "deploy", "-p", "app", "buoy", "-p", "stage", "Trial", "--images")
    done = released.run(*words, format_images(old))
    assert done.returncode == 4, done.stdout + done.stderr
    assert new in done.stdout + done.stderr
    done = released.run(*words, f"server={new}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert released.result("deploy", "up", "Trial")["counts"] == {"create": 4}
