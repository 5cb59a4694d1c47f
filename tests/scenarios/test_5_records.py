"""What is left in the archive by real runs: resumed, verified, read, compared."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.scenarios.support import Desk
from tests.scenarios.test_3_endings import interrupt_in

pytestmark = pytest.mark.rehearsal


def test_a_release_that_was_cut_off_is_taken_up(released: Desk) -> None:
    """The deploy that was done is kept, the rollout that was cut off runs."""
    images = f"server={released.copy_image('tika-server-resumed')}"
    words = ("release", "tika", "--to", "CI", "--images", images)
    # (its news, too, may say what was updated: the mark stands where it has ended)
    code, said, _ = interrupt_in(released, words, "✓", signal.SIGINT)
    assert "3 updated" in said
    assert code == 130, said
    cut = released.record("release")
    assert cut.status == "interrupted"
    again = released.run("resume", cut.run_id)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "kept: 3 updated" in again.stdout
    record = released.record("release")
    assert (record.status, record.resumes) == ("succeeded", cut.run_id)
    assert [(part.notebook, part.status) for part in record.parts] == [
        ("deploy", "kept"),
        ("rollout", "succeeded"),
    ]


def test_the_whole_archive_verifies_with_its_own_verifier(released: Desk) -> None:
    """`verify` and the copy in the archive find nothing wrong, cut-off runs included.

    A changed byte is named.
    """
    done = released.run("verify", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    own = released.archive / "verify.py"

    def alone() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", str(own), "--all"],
            capture_output=True,
            text=True,
            check=False,
        )

    assert alone().returncode == 0, alone().stdout
    (log,) = released.places("deploy", "CI")[0].logs.glob("pulumi-up.log")
    before = log.read_bytes()
    log.write_bytes(before.replace(b"updat", b"updaT", 1))
    found = alone()
    log.write_bytes(before)
    assert found.returncode == 1
    assert "pulumi-up.log" in found.stdout


def test_two_real_deploys_are_compared(released: Desk) -> None:
    """What differs between two deploys is named; a run is the same as itself."""
    new, old = (place.run_id for place in released.places("deploy", "CI")[:2])
    same = released.run("compare", new, new)
    assert same.returncode == 0, same.stdout
    differs = released.run("compare", old, new, "--json")
    assert differs.returncode == 1, differs.stdout + differs.stderr
    assert json.loads(differs.stdout)


def test_a_real_record_is_shown_on_one_screen(released: Desk) -> None:
    """Who, from what, result, tools and chain of a deploy; the page loads nothing."""
    place = released.places("deploy", "CI")[0]
    shown = released.run("show", place.run_id).stdout
    for word in ("who", "from", "images", "pulumi", "chain", "notebook.html"):
        assert word in shown
    page = (place.folder / "notebook.html").read_text()
    assert "<script" not in page
    assert "REHEARSAL" in page
