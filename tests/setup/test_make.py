"""What `make` types for a person."""

from __future__ import annotations

import subprocess

import pytest

from tests.test_tree import ROOT


@pytest.mark.parametrize(("gates", "times"), [("1", 1), ("0", 0), ("", 0)])
def test_a_release_asks_at_every_stage_where_it_is_told_to(
    gates: str, times: int
) -> None:
    """`make release GATES=1` is `olrunbook release tika --gate all`."""
    words = ["make", "-n", "release", f"GATES={gates}"]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.count("olrunbook release tika --gate all") == times
    assert "olrunbook release tika" in said.stdout
