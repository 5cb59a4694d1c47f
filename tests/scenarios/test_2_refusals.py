"""What must not happen, one clear message each, and nothing half done."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from olrunbook.archive.place import list_runs
from olrunbook.steps.lock import one_at_a_time
from tests.scenarios.support import OLRUNBOOK, Desk

pytestmark = pytest.mark.rehearsal


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("release", "tikka"), "Did you mean tika"),
        (("release", "tika", "--to", "Prod"), "Production"),
        (("release", "tika", "--images", "server=ami-nonsense"), "node_type=ami-"),
        (("release", "tika", "--target", "aws"), "choose from: rehearsal"),
        (("run", "deploi"), "there is no notebook"),
        (("run", "deploy", "-p", "stgae", "CI"), "Did you mean stage"),
        (("run", "deploy", "--stage", "CI", "-p", "stage", "QA"), "given twice"),
    ],
)
def test_bad_input_is_told_before_anything_starts(desk: Desk, words, says) -> None:
    """Exit code 2, a suggestion, and no run directory."""
    before = len(list(list_runs(desk.archive)))
    done = desk.run(*words)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert len(list(list_runs(desk.archive))) == before


def test_a_second_change_at_the_same_time_is_refused(
    released: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two changes of one app at once would mix: the second is told who is at work."""
    monkeypatch.setenv("OLRUNBOOK_STATE", str(released.state))
    with one_at_a_time(released.root, "tika", "somebody's change"):
        release = released.run("release", "tika")
        deploy = released.run("run", "deploy", "--stage", "CI")
    assert release.returncode == deploy.returncode == 4
    said = "tika is being changed by another run: somebody's change, pid "
    assert said in release.stderr
    assert said in deploy.stdout
    steps = {s.name: s.status for s in released.record("deploy", "CI").steps}
    assert (steps["preview"], steps["up"]) == ("done", "refused")


def test_a_docker_that_does_not_answer_is_told(released: Desk) -> None:
    """Without a docker engine the message says what to do."""
    done = released.run(
        "run", "image_test", DOCKER_HOST="unix:///nonexistent/docker.sock"
    )
    assert done.returncode in (1, 4), done.stdout
    assert "docker" in (done.stdout + done.stderr).lower()


def test_a_rehearsal_that_is_up_is_found_again(released: Desk) -> None:
    """Up is quick and changes nothing where a cloud is up; status says so, too."""
    before = released.target()["cloud_id"]
    assert released.run("rehearsal", "up").returncode == 0
    assert released.target()["cloud_id"] == before
    status = released.run("rehearsal", "status")
    assert status.returncode == 0
    assert before in status.stdout


def test_help_has_examples_and_parameters(desk: Desk) -> None:
    """--help shows examples; a notebook's help shows its parameters."""
    assert "Examples:" in desk.run("--help").stdout
    assert "--stage [CI|QA|Production]" in desk.run("run", "deploy", "--help").stdout
    code = desk.run("completion", "bash").stdout
    assert "_OLRUNBOOK_COMPLETE" in code


def test_completion_knows_apps_and_stages(desk: Desk) -> None:
    """Tab completion offers what the catalog has."""
    env = {**desk.env, "_OLRUNBOOK_COMPLETE": "bash_complete"}
    env |= {"COMP_WORDS": "olrunbook release ", "COMP_CWORD": "2"}
    argv = [OLRUNBOOK]
    done = subprocess.run(
        argv, cwd=desk.root, env=env, capture_output=True, text=True, check=True
    )
    assert "tika" in done.stdout
    assert Path(OLRUNBOOK).exists()
