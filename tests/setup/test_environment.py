"""The virtual environment: the locked packages, and nothing done twice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from setup import environment
from setup.report import Report, SetupError
from tests.setup.support import Fakes, shim

ROOT = Path(__file__).resolve().parents[2]


FAKE_VENV = """case "$*" in
  *" venv "*) for last; do :; done
    /bin/mkdir -p "$last/bin" "$last/lib"; echo >"$last/pyvenv.cfg"
    /bin/cp "$0" "$last/bin/python" ;;
esac"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with locks of two packages and of three."""
    root = tmp_path / "checkout"
    (root / "requirements").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[project]\n")
    for name, packages in (("run", "ab"), ("dev", "abc")):
        text = "".join(f"{one}==1 --hash=sha256:0\n" for one in packages)
        (root / "requirements" / f"{name}.txt").write_text(text)
    return root


def make(report: Report, checkout: Path, fakes: Fakes, lock: str = "run") -> list[str]:
    """Make the environment with a fake Python; return the calls this took."""
    before = len(fakes.calls)
    fakes.add("python3", FAKE_VENV)
    environment.ensure(report, checkout, lock, python=str(fakes.folder / "python3"))
    return fakes.calls[before:]


def test_packages_are_installed_by_their_hashes(
    report: Report, checkout: Path, fakes: Fakes
) -> None:
    """An empty checkout gets an environment, the locked packages, and itself."""
    calls = make(report, checkout, fakes)
    assert "-m venv --clear" in calls[0]
    locked, edit = [call for call in calls if " pip install " in call]
    assert "--require-hashes" in locked
    assert locked.endswith("requirements/run.txt")
    assert edit.endswith(f"--no-build-isolation --editable {checkout}")


def test_the_second_time_nothing_is_called(
    report: Report, checkout: Path, fakes: Fakes
) -> None:
    """An unchanged lock costs no call of pip."""
    make(report, checkout, fakes)
    assert make(report, checkout, fakes) == []


def test_a_changed_lock_is_installed_into_what_is_there(
    report: Report, checkout: Path, fakes: Fakes
) -> None:
    """The environment is kept; pip fetches what differs."""
    make(report, checkout, fakes)
    with (checkout / "requirements" / "run.txt").open("a") as file:
        file.write("d==1 --hash=sha256:0\n")
    calls = make(report, checkout, fakes)
    assert not [call for call in calls if " venv " in call]
    assert [call for call in calls if "--require-hashes" in call]


def test_a_changed_project_is_installed_alone(
    report: Report, checkout: Path, fakes: Fakes
) -> None:
    """A new command in pyproject.toml does not fetch the packages again."""
    make(report, checkout, fakes)
    (checkout / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (call,) = make(report, checkout, fakes)
    assert call.endswith(f"--editable {checkout}")


def test_a_release_after_the_tests_keeps_their_packages(
    report: Report, checkout: Path, fakes: Fakes
) -> None:
    """`dev` holds all of `run`: going to and fro installs nothing."""
    assert make(report, checkout, fakes, "run")
    assert make(report, checkout, fakes, "dev")
    assert make(report, checkout, fakes, "run") == []
    assert make(report, checkout, fakes, "dev") == []


def test_an_environment_that_is_not_ours_is_made_anew(
    report: Report, checkout: Path, fakes: Fakes
) -> None:
    """A .venv without our mark, or moved from elsewhere, cannot be relied on."""
    make(report, checkout, fakes)
    moved = checkout.parent / "moved"
    checkout.rename(moved)
    assert "-m venv --clear" in make(report, moved, fakes)[0]
    (moved / ".venv" / environment.MARKER).unlink()
    assert "-m venv --clear" in make(report, moved, fakes)[0]


def test_a_folder_that_is_no_environment_is_not_removed(
    report: Report, checkout: Path, fakes: Fakes
) -> None:
    """Somebody's files in a folder of that name stay."""
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "letters").write_text("dear")
    with pytest.raises(SetupError, match="is not a virtual environment"):
        make(report, checkout, fakes)
    assert (checkout / ".venv" / "letters").read_text() == "dear"


def test_a_failed_installation_is_not_taken_for_done(
    report: Report, checkout: Path, fakes: Fakes
) -> None:
    """After a failure the next set-up installs again."""
    make(report, checkout, fakes)
    (checkout / "requirements" / "run.txt").write_text("e==1 --hash=sha256:0\n")
    python = checkout / ".venv" / "bin" / "python"
    works = python.read_text()
    python.write_text("#!/bin/sh\necho no such host; exit 1\n")
    with pytest.raises(SetupError, match="no such host"):
        make(report, checkout, fakes)
    python.write_text(works)
    assert [
        call for call in make(report, checkout, fakes) if "--require-hashes" in call
    ]


def test_another_python_is_found_where_pyenv_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that no shim leads to still serves the unit tests."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    kept = tmp_path / "versions" / f"{version}.99" / "bin" / f"python{version}"
    kept.parent.mkdir(parents=True)
    shim(kept, works=True)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.find_other(version) == str(kept)
    assert environment.find_other("3.99") == ""


def test_their_environment_has_their_packages_alone(
    report: Report, checkout: Path, fakes: Fakes
) -> None:
    """Neither this checkout nor anything of its lock is in it."""
    lock = checkout / environment.LOCKS["theirs"]
    lock.parent.mkdir(parents=True)
    lock.write_text("d==1 --hash=sha256:0\n")
    (install,) = [
        call for call in make(report, checkout, fakes, "theirs") if " pip " in call
    ]
    assert install.endswith(f"--require-hashes -r {lock}")
