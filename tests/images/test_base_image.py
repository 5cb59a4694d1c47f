"""Base images: named after their recipe, made once, and never half."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from olrunbook.adapters.docker.base_image import (
    ensure,
    load_recipe,
    recipe_hash,
    tag_of,
)
from olrunbook.adapters.docker.command import docker, exists
from olrunbook.errors import ToolError, UsageError

# An image of the test's own: another test run may use the same docker.
RECIPE = f'# {uuid.uuid4()}\nsuite = "bookworm"\npackages = []\ncommand = ["/bin/sh"]\n'


@pytest.fixture
def recipe(project) -> Path:
    """Return a recipe folder of the test's own project."""
    folder = project.root / "images" / "small"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def test_the_name_follows_the_recipe(recipe) -> None:
    """Another package or script is another image; a stray file is not."""
    before = recipe_hash(recipe)
    (recipe / "README").write_text("words")
    assert recipe_hash(recipe) == before
    (recipe / "customize.sh").write_text("true")
    after = recipe_hash(recipe)
    assert after != before
    assert tag_of("small", recipe) == f"olrunbook/small:{after}"


@pytest.mark.parametrize(
    "text", ["suite = 1", "nope", 'suite = "x"\npackages = []', "suite = '\xff'"]
)
def test_a_wrong_recipe_is_named(recipe, text) -> None:
    """The error names the file; nothing is started."""
    (recipe / "recipe.toml").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"recipe\.toml"):
        load_recipe(recipe)


NO_IMAGE = "echo 'Error: No such image: x' >&2; exit 1"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("E: Failed to fetch the list", "Debian mirror"),
        ("E: newuidmap is missing", "uidmap"),
        ("E: write: No space left on device", "Free some disk space"),
        ("E: NO_PUBKEY ABCDEF", "debian-archive-keyring"),
    ],
)
def test_a_failure_says_what_can_be_done(  # noqa: PLR0917  (four of them fixtures)
    project, recipe, cache, act, said, hint
) -> None:
    """The first error line is the message; known causes have a hint."""
    act("docker", NO_IMAGE)
    act("mmdebstrap", f"echo '{said}' >&2; exit 25")
    with pytest.raises(ToolError) as caught:
        ensure("small", project=project)
    assert said in str(caught.value)
    assert hint in caught.value.hint
    assert caught.value.code == 25
    assert not list(cache.rglob("root.tar"))


def test_an_image_that_is_there_is_not_made_again(project, recipe, act) -> None:
    """With the image in place only docker is asked."""
    act("docker", "echo sha256:1")
    act("mmdebstrap", "exit 1")
    assert ensure("small", project=project) == tag_of("small", recipe)


def test_a_missing_recipe_is_a_usage_error(project) -> None:
    """A name nobody wrote a recipe for ends before anything is started."""
    with pytest.raises(UsageError, match="images/nothing"):
        ensure("nothing", project=project)


@pytest.mark.rehearsal
def test_the_base_image_is_made_once(project) -> None:
    """The real image: made or found, then found again; it can do what it must."""
    tag = ensure("base", project=project)
    made = docker("inspect", "--format", "{{.Id}} {{.Created}}", tag)
    assert ensure("base", project=project) == tag
    assert docker("inspect", "--format", "{{.Id}} {{.Created}}", tag) == made
    tools = "curl wget unzip gpg sudo sshd openssl python3 ip ps jq setfacl"
    found = docker("run", "--rm", tag, "sh", "-c", f"which {tools}; ls /etc/ssh")
    assert len(found.splitlines()) >= len(tools.split())
    assert "ssh_host" not in found  # no machine's identity is in an image


@pytest.mark.rehearsal
def test_a_recipe_of_the_project_makes_a_small_image(project, recipe, cache) -> None:
    """A project's own recipe is made with the machine's mirror and imported."""
    tag = ensure("small", project=project)
    try:
        assert docker("run", "--rm", tag, "cat", "/etc/os-release").count("bookworm")
    finally:
        docker("rmi", tag)
    assert not exists(tag)
