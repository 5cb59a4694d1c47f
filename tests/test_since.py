"""What else changed between two images: what the records say, and nothing else."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from olrunbook.adapters.aws.seen import GroupSeen, InstanceSeen
from olrunbook.adapters.context import Commit
from olrunbook.record.provenance import commits_between
from olrunbook.steps.deploy.since import Archived, archived, doubts, since
from olrunbook.steps.images.results import (
    ArtifactUsed,
    BuiltImage,
    ImageBuildResult,
    ImageTestResult,
)
from olrunbook.steps.images.results import (
    TestedImage as OneTest,
)
from tests.archives import sealed_run

OLD, NEW = "ami-0aaaaaaaaaaaaaaaa", "ami-0bbbbbbbbbbbbbbbb"
SHA = "a" * 40


def image(ami: str, **more: Any) -> BuiltImage:
    """Return an image."""
    facts: dict[str, Any] = {
        "node_type": "server",
        "ami": ami,
        "name": f"tika-{ami}",
        "base_ami": "ami-0base",
        "base_name": "debian-1",
        "tags": {},
        "phases": [],
        "operations": [],
        "artifacts": [ArtifactUsed(name="tika", version="1", sha256=SHA, source="x")],
        "packages": 0,
        "packages_file": "",
        "seconds": 1,
        "by_hand": "packer",
    }
    return BuiltImage(**facts | more)


def known(ami: str, folder: Path, commit: Commit, **more: Any) -> dict[str, Archived]:
    """Return an image as the archive has it."""
    return {ami: Archived(image(ami, **more), commit, folder, tested=True)}


def groups(*images: str) -> list[GroupSeen]:
    """Return the group with an instance of each image."""
    instances = [
        InstanceSeen(id=f"i-{n}", image=ami, lifecycle="InService", health="Healthy")
        for n, ami in enumerate(images)
    ]
    return [GroupSeen(node_type="server", tag_name="t", instances=instances)]


def rows(root: Path, found: dict[str, Archived], *serving: str) -> dict[str, Any]:
    """Return what else changed, by what."""
    told = since(root, {"server": NEW}, groups(*(serving or (OLD,))), found)
    assert {one.where for one in told} <= {"server"}
    return {one.what: (one.old, one.new) for one in told}


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, list[str]]:
    """Return a project with three commits, the oldest first."""
    root = tmp_path / "project"
    root.mkdir()

    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        done = subprocess.run(command, cwd=root, check=True, capture_output=True)
        return done.stdout.decode().strip()

    git("init", "-q")
    found = []
    for name in ("one", "two", "three"):
        (root / name).touch()
        git("add", name)
        git("commit", "-qm", f"add {name}")
        found.append(git("rev-parse", "HEAD"))
    return root, found


def test_commits_between_two_images_have_their_subjects(
    repository: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """Newest first; those that a step back takes away stand on the other side."""
    root, (one, two, three) = repository
    assert commits_between(root, one, three) == [
        f"{three[:7]} add three",
        f"{two[:7]} add two",
    ]
    old, new = known(OLD, tmp_path, Commit(one)), known(NEW, tmp_path, Commit(two))
    assert rows(root, old | new)["commit"] == ("", f"{two[:7]} add two")
    back = known(OLD, tmp_path, Commit(two)) | known(NEW, tmp_path, Commit(one))
    assert rows(root, back)["commit"] == (f"{two[:7]} add two", "")


@pytest.mark.parametrize("sha", [SHA, "", "--output=x", "HEAD"])
def test_a_commit_that_is_not_in_the_checkout_is_said(
    repository: tuple[Path, list[str]], tmp_path: Path, sha: str
) -> None:
    """Not guessed; and nothing that is no hash is given to git."""
    root, (one, *_) = repository
    assert commits_between(root, sha, one) is None
    found = known(OLD, tmp_path, Commit(sha)) | known(NEW, tmp_path, Commit(one))
    assert "not in this checkout" in rows(root, found)["commit"][1]


def test_base_products_and_packages_are_compared(tmp_path: Path) -> None:
    """From the records and the lists of packages beside them."""
    (tmp_path / "old.txt").write_text("libc\t1\nsame\t2\ngone\t3\nno tab\n")
    (tmp_path / "new.txt").write_text("libc\t2\nsame\t2\n")
    newer = ArtifactUsed(name="tika", version="2", sha256=SHA, source="x")
    old = known(OLD, tmp_path, Commit(SHA), packages_file="old.txt")
    new = known(
        NEW,
        tmp_path,
        Commit(SHA, ("images/x",)),
        packages_file="new.txt",
        base_name="debian-2",
        artifacts=[newer],
    )
    assert rows(tmp_path, old | new) == {
        "image": (OLD, NEW),
        "files not committed": ("clean", "differs in images/x"),
        "base image": ("debian-1 ami-0base", "debian-2 ami-0base"),
        "tika": ("1 (sha256 aaaaaaaa)", "2 (sha256 aaaaaaaa)"),
        "package gone": ("3", "not in it"),
        "package libc": ("1", "2"),
    }


def test_what_the_records_do_not_hold_is_said(tmp_path: Path) -> None:
    """Packages that were not recorded, an image that was not built here."""
    old, new = (known(ami, tmp_path, Commit(SHA)) for ami in (OLD, NEW))
    assert rows(tmp_path, old | new) == {
        "image": (OLD, NEW),
        "packages": ("not recorded", "not recorded"),
    }
    assert rows(tmp_path, new)["what it is made of"] == (
        "not built here: not known",
        "",
    )


def test_what_serves_already_and_a_stage_without_instances_say_nothing(
    tmp_path: Path,
) -> None:
    """There is nothing to compare."""
    new = known(NEW, tmp_path, Commit(SHA))
    assert rows(tmp_path, new, NEW) == {}
    assert since(tmp_path, {"server": NEW}, groups(), new) == []


def test_more_packages_than_are_read_are_counted(tmp_path: Path) -> None:
    """The first of them, and how many more."""
    for name, version in (("old.txt", 1), ("new.txt", 2)):
        lines = [f"p{number:02}\t{version}\n" for number in range(40)]
        (tmp_path / name).write_text("".join(lines))
    old = known(OLD, tmp_path, Commit(SHA), packages_file="old.txt")
    new = known(NEW, tmp_path, Commit(SHA), packages_file="new.txt")
    assert rows(tmp_path, old | new)["package"] == ("", "and 15 more")


def add(project: Any, redactor: Any, name: str, result: Any, **more: Any) -> Path:
    """Put a succeeded run with a result into the archive."""
    step = {"name": name, "status": "done", "result": result.model_dump(mode="json")}
    step["result_schema"] = result.schema_name
    end = {"status": "succeeded", "cause": "", "masked": 0}
    found = sealed_run(project, redactor, name, steps=[step], end=end, **more)
    return found.place.folder


def test_the_archive_knows_what_was_built_and_tested_here(
    project: Any, redactor: Any
) -> None:
    """A test counts for images of its commit and its files; a kept build once."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    built = ImageBuildResult(
        images={"server": NEW},
        builds=[image(NEW)],
        commit=SHA,
        dirty=["x"],
        packer="p",
        started_at=at,
        ended_at=at,
    )
    first = add(project, redactor, "bake", built)
    add(project, redactor, "bake", built)  # a run that kept it
    (line,) = doubts({"server": NEW}, archived(project, "rehearsal", "tika"))
    assert "was not tested here" in line
    assert SHA[:7] in line
    test = OneTest(
        node_type="server",
        base="b",
        systemd=True,
        operations=[],
        again=[],
        repeated=True,
        checks=[],
        services=[],
        error="",
        hint="",
        seconds=1,
        by_hand=[],
    )
    tested = ImageTestResult(
        tests=[test], idempotent=False, artifacts=[], not_tested=[]
    )
    add(project, redactor, "try", tested, commit=SHA, dirty=[])
    assert doubts({"server": NEW}, archived(project, "rehearsal", "tika")) == [line]
    add(project, redactor, "try", tested, commit=SHA, dirty=["x"])

    found = archived(project, "rehearsal", "tika")

    assert doubts({"server": NEW}, found) == []
    assert found[NEW].folder == first
    (line,) = doubts({"server": OLD}, found)
    assert "was not built here" in line
