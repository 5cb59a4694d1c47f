"""A release that asks people before it changes a stage."""

from __future__ import annotations

import pytest

from olrunbook.project.imageset import format_images
from tests.scenarios.support import Desk

pytestmark = pytest.mark.rehearsal


def test_a_release_waits_for_approval_and_goes_on(released: Desk) -> None:
    """Waits at its stage with exit 3; approved and resumed it is done."""
    images = format_images(released.record("rollout", "CI").images)
    words = ("release", "tika", "--images", images, "--to", "CI", "--gate", "CI")
    waits = released.run(*words)
    assert waits.returncode == 3, waits.stdout + waits.stderr
    assert 'Waiting for approval: "Apply these changes to CI?"' in waits.stdout
    release = released.record("release")
    deploy = released.record("deploy", "CI")
    assert release.status == deploy.status == "waiting"
    assert {s.name: s.status for s in deploy.steps}["up"] == "not-run"

    approve = ("approve", release.run_id, "--reason", "a rehearsal")
    approved = released.run(*approve)
    assert approved.returncode == 0, approved.stdout + approved.stderr
    done = released.run("resume", release.run_id)
    assert done.returncode == 0, done.stdout + done.stderr
    (gate,) = released.record("deploy", "CI").gates
    assert (gate.status, gate.reason) == ("approved", "a rehearsal")
    again = released.run(*approve)
    assert again.returncode == 4
    verified = released.run("verify", "--all")
    assert verified.returncode == 0, verified.stdout
