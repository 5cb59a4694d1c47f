"""End to end: the command line as a person types it, on a cloud of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenarios.support import ROOT, Desk


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Return a desk in this checkout; its rehearsal is taken down at the end."""
    folder = tmp_path_factory.mktemp("desk")
    made = Desk(ROOT, folder / "state", folder / "outputs")
    yield made
    down = made.run("rehearsal", "down", "--images")
    assert down.returncode == 0, down.stderr


@pytest.fixture(scope="session")
def released(desk: Desk) -> Desk:
    """Return the desk after a first release with the marker `one`."""
    done = desk.run("release", "tika", "--variable", "marker=one")
    assert done.returncode == 0, done.stdout + done.stderr
    return desk
