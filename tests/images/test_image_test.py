"""The local test's verdict: what fails it, and what is only said."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from olrunbook.errors import StepError, UsageError
from olrunbook.steps.images import workspace as place_of
from olrunbook.steps.images.provision import require
from olrunbook.steps.images.results import (
    CheckSeen,
    ImageTestResult,
    Operation,
)
from olrunbook.steps.images.results import TestedImage as Seen
from olrunbook.steps.images.watch import hint_for
from olrunbook.steps.images.workspace import artifacts_of, workspace


def seen(**more: Any) -> Seen:
    """Return a test in which all went well."""
    values: dict[str, Any] = {
        "node_type": "server",
        "base": "olrunbook/base:1",
        "systemd": True,
        "operations": [
            Operation(name="A", state="changed"),
            Operation(name="B", state="no change"),
        ],
        "again": [],
        "repeated": True,
        "checks": [CheckSeen(name="answers", ok=True)],
        "services": [],
        "error": "",
        "hint": "",
        "seconds": 1.0,
        "by_hand": [],
    }
    return Seen.model_validate({**values, **more})


def result(*tests: Seen, idempotent: bool = False) -> ImageTestResult:
    """Return the result of tests."""
    return ImageTestResult(
        tests=list(tests), idempotent=idempotent, artifacts=[], not_tested=[]
    )


def test_a_good_test_is_good() -> None:
    """Nothing failed and the second run changed nothing."""
    good = result(seen())
    require(good)
    assert good.headline() == "2 operations; a second run changes nothing"


def test_what_a_second_run_changes_is_only_said() -> None:
    """It fails the test where the catalog calls the deploy idempotent, else not."""
    again = seen(again=["Reload systemd"])
    require(result(again))
    assert result(again).headline() == "2 operations; 1 changes on every run"
    with pytest.raises(StepError, match="a second run changed Reload systemd"):
        require(result(again, idempotent=True))


def test_the_failed_operation_is_named_with_its_output_and_a_hint() -> None:
    """`curl: not found` is about the base image, and the hint says so."""
    output = ["sh: 1: curl: not found"]
    operations = [
        Operation(name="Good", state="changed"),
        Operation(name="Download", state="failed", output=output),
        Operation(name="After", state="not reached"),
    ]
    bad = seen(operations=operations, repeated=False, hint=hint_for(output[0]))
    with pytest.raises(StepError) as caught:
        require(result(bad))
    assert "operation 2 of 3 failed: Download\n  sh: 1: curl: not found" in str(
        caught.value
    )
    assert caught.value.hint.startswith("The base image lacks curl")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"error": "ValueError: no such version"}, "ValueError: no such version"),
        ({"services": ["tika-server.service"]}, "tika-server.service failed"),
        ({"checks": [CheckSeen(name="it answers", ok=False)]}, "; it answers"),
    ],
)
def test_an_error_a_failed_unit_or_no_answer_fails_it(more, words) -> None:
    """Provisioning alone is not enough: the service must start and answer."""
    with pytest.raises(StepError, match=words):
        require(result(seen(**more)))


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("/bin/sh: wget: command not found", "lacks wget"),
        ("E: Unable to locate package nope", "mirror"),
        ("write: No space left on device", "disk space"),
        ("No module named 'bilder.lib' (deploy.py, line 3)", "has no bilder.lib"),
        ("Unrecognized VM option 'X'", "tika_java_options"),
        ("sha256sum: WARNING: 1 computed checksum did NOT match", "checksum"),
        ("something nobody knows", ""),
    ],
)
def test_known_failures_have_hints(output, hint) -> None:
    """A hint only where the cause is known."""
    found = hint_for(output)
    assert hint in found
    assert bool(found) == bool(hint)


def test_tools_work_in_a_copy(context, cache) -> None:
    """Template and deploy are copied; what tools write stays out of the checkout."""
    ctx = context()
    place = workspace(ctx)
    assert place.deploy.is_relative_to(ctx.work)
    assert (place.deploy.parent / "templates" / "tika-server.service.j2").is_file()
    assert not list(place.root.rglob("__pycache__"))
    assert {"node_type", "run_id", "commit", "marker"} <= place.declared
    env = place.environment({"PATH": "/bin"})
    assert env["TMPDIR"].startswith(str(ctx.work))
    assert place.temporary.stat().st_mode & 0o077 == 0


def test_the_copy_has_every_file_of_the_checkout(
    context, hello, monkeypatch, tmp_path
) -> None:
    """A template may read any; what is written beside them stays in the copy."""
    monkeypatch.setattr(place_of, "LARGE", 100)
    other = hello.root / "src" / "other"
    other.mkdir(parents=True)
    (other / "words.txt").write_text("of another folder")
    (other / "large.bin").write_bytes(b"x" * 101)
    (other / "link").symlink_to("words.txt")
    (other / "ignored").write_text("it is not git's")
    (hello.root / ".gitignore").write_text("ignored\n")
    hello.outputs.mkdir(parents=True, exist_ok=True)
    (hello.outputs / "record").write_text("not what a template reads")
    git(hello.root, "init", "--quiet")
    git(hello.root, "add", "src/other/words.txt")
    for text in ("of another folder", "newer"):  # as each step of a run does
        (other / "words.txt").write_text(text)
        place = workspace(context("hello", project=hello))
        copy = place.deploy.parent / "../../src/other"
        assert (copy / "link").read_text() == text
    assert sorted(file.name for file in copy.iterdir()) == [
        "large.bin",
        "link",
        "words.txt",
    ]
    assert (copy / "large.bin").read_bytes() == b"x" * 101
    assert (place.root / "catalog.toml").is_file()
    assert not (place.root / "outputs").exists()
    (copy / "words.txt").write_text("written by a tool")
    assert (other / "words.txt").read_text() == "newer"


def test_the_copy_has_the_files_of_submodules(context, hello, tmp_path) -> None:
    """Of one that is checked out; what is not is an empty folder."""
    theirs = tmp_path / "theirs"
    (theirs / "roles").mkdir(parents=True)
    (theirs / "roles" / "web.yml").write_text("a role")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git(theirs, "init", "--quiet")
    git(theirs, "add", "roles")
    git(theirs, *author, "commit", "--quiet", "--message", "roles")
    git(hello.root, "init", "--quiet")
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add")
    for folder in ("shared", "gone"):
        git(hello.root, *add, str(theirs), folder)
    git(hello.root, "submodule", "--quiet", "deinit", "--force", "gone")
    (hello.root / "shared" / "new.yml").write_text("not committed there yet")
    git(hello.root, "clone", "--quiet", str(theirs), "another")
    root = workspace(context("hello", project=hello)).root
    assert not (root / "another").exists()
    assert (root / "shared" / "roles" / "web.yml").read_text() == "a role"
    assert (root / "shared" / "new.yml").is_file()
    assert not (root / "shared" / ".git").exists()
    assert not (root / "gone").exists()


def test_what_is_behind_a_link_of_the_checkout_is_left_alone(
    context, hello, tmp_path
) -> None:
    """Nothing is copied from there, and nothing is written or removed there."""
    there = tmp_path / "shared"
    there.mkdir()
    (there / "b.yml").write_text("a person's own")
    folder = hello.root / "vars"
    folder.mkdir()
    (folder / "b.yml").write_text("b")
    (hello.root / ".venv").mkdir()
    (hello.root / ".venv" / "python").write_text("not git's, not ignored")
    git(hello.root, "init", "--quiet")
    git(hello.root, "add", "vars/b.yml")
    workspace(context("hello", project=hello))
    (folder / "b.yml").unlink()
    folder.rmdir()
    folder.symlink_to(there)
    images = hello.root / "images"  # the template's own way may lead over a link
    images.rename(hello.root / "real")
    images.symlink_to("real")
    for _ in range(2):
        place = workspace(context("hello", project=hello))
        assert place.deploy.is_file()
        assert not (place.root / ".venv").exists()
    assert [file.name for file in there.iterdir()] == ["b.yml"]
    assert (there / "b.yml").read_text() == "a person's own"
    assert not (place.root / "vars").is_symlink()


def git(folder: Path, *words: str) -> None:
    """Call git in a folder."""
    subprocess.run(["git", "-C", folder, *words], check=True)


def test_the_shipped_template_works_on_a_projects_own_deploy(context, hello) -> None:
    """The template comes from the package, the app's folder from the project."""
    place = workspace(context("hello", project=hello))
    assert sorted(path.name for path in (place.root / "images").iterdir()) == [
        "default",
        "hello",
    ]
    assert place.template.is_dir()
    assert artifacts_of(context("hello", project=hello), place, {}) == []


def test_the_default_template_wants_a_folder_of_the_apps_name(
    context, hello, monkeypatch
) -> None:
    """It finds the deploy by the app's name, so another folder is a mistake."""
    (hello.root / "images" / "hello").rename(hello.root / "images" / "other")
    text = hello.catalog_file.read_text().replace("images/hello/", "images/other/")
    hello.catalog_file.write_text(text)
    again = type(hello)(hello.root, hello.catalog_file)
    with pytest.raises(UsageError, match=r"is not hello/deploy\.py"):
        workspace(context("hello", project=again))
