"""The head of a run: who, where, what, which images, what serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from olrunbook.adapters.aws.seen import GroupSeen, InstanceSeen
from olrunbook.adapters.context import Commit, Context
from olrunbook.display.header import header_view
from olrunbook.display.render import text
from olrunbook.project.catalog import Project
from olrunbook.redact import Redactor, new_key
from olrunbook.steps.serving import in_words

ROOT = Path(__file__).parents[2]
NEW = "ami-0a17c0ffee5511223"


def context(tmp_path: Path, commit: Commit) -> Context:
    """Return a run's surroundings without a target."""
    project = Project(ROOT, ROOT / "catalog.toml")
    return Context(
        project=project,
        place=None,
        app_name="tika",
        app=project.catalog.apps["tika"],
        stage="",
        run_id="0193-run",
        commit=commit,
        logs=tmp_path,
        work=tmp_path,
        redactor=Redactor(new_key()),
    )


def test_the_head_says_what_and_from_which_commit(tmp_path: Path) -> None:
    """Notebook, app, run, commit with its changes, images and where they come from."""
    dirty = tuple(f"file{number}.py" for number in range(7))
    view = header_view(
        context(tmp_path, Commit("a1b2c3d4e5f6" + "0" * 28, dirty)),
        notebook="image_test",
        images={"server": NEW},
        images_from="built by run 0193…b11",
        folder=tmp_path,
        headless=False,
    )
    plain = text(view)
    for wanted in (
        "image_test · tika",
        "0193-run, interactive",
        "commit a1b2c3d4e5f6, differs in file0.py",
        "and 2 more",
        f"server={NEW} (built by run 0193…b11)",
        "a container on this machine",
    ):
        assert wanted in plain
    assert not view.banner


def test_an_apps_own_stand_ins_are_named(tmp_path: Path) -> None:
    """Also where there is no cloud: the image test of a stand-in says what it is."""
    made = context(tmp_path, Commit("a" * 40))
    app = made.app.model_copy(update={"stand_ins": ["Tika: a stand-in"]})
    view = header_view(
        replace(made, app=app),
        notebook="image_test",
        images={},
        images_from="",
        folder=tmp_path,
        headless=True,
    )
    assert "Tika: a stand-in" in text(view)
    assert replace(made, app=app).stand_ins == ["Tika: a stand-in"]


def test_what_serves_is_said_in_words() -> None:
    """How many of how many, on which image; or that there is nothing yet."""
    group = GroupSeen(node_type="web", tag_name="t")
    assert in_words(group) == "nothing yet"
    good, bad = (
        InstanceSeen(
            id=f"i-{health}",
            image=NEW,
            lifecycle="InService",
            health="Healthy",
            target_health=health,
        )
        for health in ("healthy", "unhealthy")
    )
    there = group.model_copy(
        update={"name": "g", "desired": 2, "instances": [good, bad]}
    )
    assert in_words(there, many=True) == "web: 1 of 2 healthy on ami-0a17…223"
