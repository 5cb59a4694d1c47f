"""What a scenario's file may say; the scenarios themselves need a rehearsal."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.scenarios.scene import read_scene

GOOD = """
title = "It is deployed"
[[acts]]
do = "type"
line = "run deploy"
exit = 0
[ends]
CI = "one"
"""


def test_a_scenario_says_what_is_done_and_what_must_hold(tmp_path: Path) -> None:
    """What is left out is one instance in CI, without a load balancer."""
    file = tmp_path / "deploy.toml"
    file.write_text(GOOD)
    scene = read_scene(file)
    assert (scene.stages, scene.groups[0].size) == (["CI"], 1)
    assert scene.ends == {"CI": "one"}


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("exit = 0", "exit = 0\nsayz = ['x']"),
        ("exit = 0", ""),
        ("exit = 0", "exit = [0, 3]"),
        ("exit = 0", "exit = 0\nat_once = 2"),
        ('do = "type"', 'do = "tpye"'),
        ("[ends]", "[groups]"),
        ("[ends]\nCI", "[ends]\n[[acts.meanwhile]]\ndo"),
    ],
)
def test_anything_else_in_a_scenario_is_an_error(
    text: str, other: str, tmp_path: Path
) -> None:
    """An unknown key or act, a missing exit code, as many as there are not commands."""
    file = tmp_path / "wrong.toml"
    assert text in GOOD
    file.write_text(GOOD.replace(text, other))
    with pytest.raises(ValidationError):
        read_scene(file)


@pytest.mark.parametrize(
    "file", sorted(Path(__file__).parent.glob("*.toml")), ids=lambda file: file.stem
)
def test_every_scenario_can_be_read(file: Path) -> None:
    """Its name is short enough to be told apart in AWS's names, which are cut off."""
    assert read_scene(file).title
    names = [other.stem[:22] for other in file.parent.glob("*.toml")]
    assert names.count(file.stem[:22]) == 1
