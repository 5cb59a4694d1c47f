"""Concourse to CI: two node types, three groups, and a stand-in that says so."""

from __future__ import annotations

import pytest

from tests.scenarios.support import Desk

pytestmark = pytest.mark.rehearsal
WORKERS = ["concourse-worker-ci-infra", "concourse-worker-ci-ocw"]


def test_concourse_is_released_with_workers_that_register(desk: Desk) -> None:
    """Baked side by side, deployed as three groups; web lists a worker of each kind.

    Every record names the stand-in, and each group's ending.
    """
    done = desk.run("release", "concourse", "--to", "CI")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "concourse are stand-ins" in done.stdout
    build = desk.result("image_build", "build")
    assert sorted(build["images"]) == ["web", "worker"]
    logs = desk.places("image_build")[0].logs
    for node in ("web", "worker"):
        log = (logs / f"packer-{node}.log").read_text()
        assert f"-var node_type={node} " in log
        assert "--> Connecting to hosts..." in log
    result = desk.result("rollout", "rollout", "CI")
    labels = ["web", *(f"worker {tag}" for tag in WORKERS)]
    assert [(g["label"], g["outcome"]) for g in result["groups"]] == [
        (label, "launched") for label in labels
    ]
    answers = desk.result("rollout", "checks", "CI")["answers"]
    assert len(answers) == 4
    assert all(answer["ok"] for answer in answers)
    for notebook in ("image_test", "image_build", "deploy", "rollout", "release"):
        told = desk.record(notebook).stand_ins
        assert any(text.startswith("Concourse: ") for text in told), notebook
