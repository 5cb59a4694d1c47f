"""Instances replaced by a refresh, and what the board and the doctor say of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.scenarios.support import Desk

pytestmark = pytest.mark.rehearsal


def ask(desk: Desk, *words: str) -> Any:
    """Return the answer of a command for programs."""
    said = desk.run(*words, "--json")
    assert said.returncode in (0, 4), said.stderr
    return json.loads(said.stdout)


def test_a_refresh_keeps_the_image_and_is_explained(released: Desk) -> None:
    """Every instance is another, and nothing more is unexplained than before."""
    (before,) = ask(released, "status", "tika", "CI")["rows"]
    done = released.run("run", "refresh", "-p", "app", "tika", "-p", "stage", "CI")
    assert done.returncode == 0, done.stdout + done.stderr
    record = released.record("refresh", "CI")
    assert record.images == before["images"]
    (group,) = released.result("refresh", "watched", "CI")["groups"]
    assert group["outcome"] == "refreshed"
    assert not group["refresh"]["skip_matching"]
    assert not [i for i in group["instances"] if i["before"] and i["after"]]

    board = ask(released, "status", "tika", "CI")
    (row,) = board["rows"]
    assert board["asked"] == ""
    for name in ("images", "run", "since", "unexplained"):
        assert row[name] == before[name], name
    checks = {row["name"]: row for row in ask(released, "doctor", "tika", "CI")["rows"]}
    for name in ("instance refresh", "stack lock", "pending operations", "app lock"):
        assert checks[name]["status"] == "ok", checks[name]
