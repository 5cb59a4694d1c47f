"""Instances replaced by a refresh, and what the board and the doctor say of it."""

from __future__ import annotations

import json

import pytest

from tests.scenarios.support import Desk

pytestmark = pytest.mark.rehearsal


def test_a_refresh_keeps_the_image_and_is_explained(released: Desk) -> None:
    """Every instance is another, no request failed, and nothing is unexplained."""
    before = released.record("rollout", "CI")
    done = released.run("run", "refresh", "-p", "app", "tika", "-p", "stage", "CI")
    assert done.returncode == 0, done.stdout + done.stderr
    record = released.record("refresh", "CI")
    assert record.images == before.images
    (group,) = released.result("refresh", "watched", "CI")["groups"]
    assert group["outcome"] == "refreshed"
    assert not group["refresh"]["skip_matching"]
    assert not [i for i in group["instances"] if i["before"] and i["after"]]

    said = released.run("status", "tika", "--json")
    board = json.loads(said.stdout)
    assert (said.returncode, board["asked"]) == (0, "")
    row = board["rows"][0]
    assert (row["images"], row["run"]) == (before.images, before.run_id)
    assert [one["unexplained"] for one in board["rows"]] == [[], [], []]
    well = released.run("doctor", "tika", "CI")
    assert well.returncode == 0, well.stdout + well.stderr
