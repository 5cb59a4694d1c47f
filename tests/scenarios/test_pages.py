"""The operators' pages: what can be known of them without a rehearsal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from olrunbook.steps.preflight_checks import CHECKS
from tests.scenarios.pages import DOCS, PAGES, Command, commands, key, told_by
from tests.scenarios.scene import Typed, read_scene

SCENES = {
    file.stem: read_scene(file) for file in sorted(Path(__file__).parent.glob("*.toml"))
}
COMMANDS = [command for page in PAGES for command in commands(page)]
STORIES = {
    "operating.md": [
        "A normal release",
        "A refusal",
        "A failed rollout, and the way back",
    ],
    "approvals.md": ["A normal approval", "Two people", "An emergency"],
    "stuck.md": ["An update was cut off"],
}


def test_every_command_of_the_pages_is_typed_by_a_scenario() -> None:
    """With that exit code; which app, stage, run, image set and key, is open."""
    typed = {
        (key(act.line), code)
        for scene in SCENES.values()
        for act in scene.acts
        if isinstance(act, Typed)
        for code in act.exits
    }
    missing = [str(c) for c in COMMANDS if (key(c.line), c.code) not in typed]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("name", sorted({c.scenario for c in COMMANDS if c.said}))
def test_a_scenario_types_a_story_in_the_order_of_the_page(name: str) -> None:
    """What a page shows of a command is said when its scenario is played."""
    assert name, "a block with `$` has no `<!-- scenario: NAME -->`"
    assert told_by(name, SCENES[name])


@pytest.mark.parametrize("page", STORIES)
def test_a_story_is_found_by_its_heading(page: str) -> None:
    """And shows what is typed, and what that says."""
    text = (DOCS / page).read_text()
    sections = dict(re.findall(r"(?ms)^## (.+?)\n(.*?)(?=^## |\Z)", text))
    for story in STORIES[page]:
        assert "\n    $ olrunbook " in sections[story], story


def test_the_checks_that_the_page_explains_are_there() -> None:
    """Each row of the table in stuck.md is a check of `doctor`."""
    table = (DOCS / "stuck.md").read_text().partition("| check |")[2]
    assert set(re.findall(r"(?m)^\| (\w.*?) \|", table)) <= set(CHECKS)


@pytest.mark.parametrize(
    ("said", "good"),
    [
        ("✗ deploy eve QA refused after 3 s: web=ami-1f is gone\n  run 01a2…fff", True),
        (
            "✗ deploy eve QA refused after 3 s: web=ami-1f is here\n  run 01a2…fff",
            False,
        ),
        ("✗ deploy tika QA refused after 3 s: web=ami-1f is gone\n  run 0…1", False),
    ],
)
def test_what_a_page_shows_is_compared(said: str, *, good: bool) -> None:
    """Words count; app, stage, image set, ids and numbers may be others."""
    shown = (
        "✗ deploy tika CI refused after 21 s: server=ami-0a17…\nis gone\nrun 0193…d07"
    )
    command = Command("a page", "run deploy", said=shown)
    if good:
        command.must_match(said, "eve")
    else:
        with pytest.raises(AssertionError, match="a page shows of run deploy"):
            command.must_match(said, "eve")
