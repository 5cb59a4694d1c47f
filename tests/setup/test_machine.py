"""The machine: where a release can run, with which Python, with whose right."""

from __future__ import annotations

import io
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from setup import __main__ as command
from setup import machine
from setup.machine import Rights
from setup.report import Report, SetupError
from tests.setup.support import Fakes, nobody, shim

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "kind"), [("Darwin", "arm64"), ("Linux", "aarch64"), ("Windows", "AMD64")]
)
def test_elsewhere_a_release_stops_at_once(
    name: str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Nothing is begun, and what would work is said: exit 2."""
    monkeypatch.setattr("platform.system", lambda: name)
    monkeypatch.setattr("platform.machine", lambda: kind)
    monkeypatch.setenv("OLRUNBOOK_CACHE", str(tmp_path / "cache"))
    assert command.main(["release"]) == 2
    said = capsys.readouterr()
    assert f"this is {name} on {kind}" in said.err
    assert "make setup" in said.err
    assert said.out == ""


def run_sh(path: Path, *, python: str = "") -> subprocess.CompletedProcess[str]:
    """Run setup/run.sh with a PATH of one folder (and dirname)."""
    for name in ("dirname", "sh"):
        (path / name).symlink_to(str(shutil.which(name)))
    return subprocess.run(
        ["/bin/sh", ROOT / "setup" / "run.sh", "--help"],
        env={"PATH": str(path), "PYTHON": python},
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_python_that_runs_is_found(tmp_path: Path) -> None:
    """A shim that cannot run is passed over for the next name."""
    shim(tmp_path / "bin" / "python3", works=False)
    shim(tmp_path / "bin" / "python3.12", works=True)
    said = run_sh(tmp_path / "bin")
    assert said.returncode == 0
    assert "Make this machine ready" in said.stdout


def test_without_a_python_the_way_out_is_named(tmp_path: Path) -> None:
    """Even with no Python at all there is one clear message."""
    shim(tmp_path / "bin" / "python3", works=False)
    said = run_sh(tmp_path / "bin")
    assert said.returncode == 2
    assert "Python 3.11 or newer" in said.stderr
    assert "apt-get install" in said.stderr


def test_root_is_not_asked() -> None:
    """Root may, by its own command."""
    rights = nobody(0)
    rights.need("something", "by hand")
    assert rights.argv("apt-get", "update") == ["apt-get", "update"]


def test_nobody_to_ask_is_an_error_that_names_the_command() -> None:
    """In CI without root nothing waits for an answer."""
    with pytest.raises(SetupError, match="sudo was not allowed") as caught:
        nobody().need("something", "sudo apt-get install thing")
    assert "sudo apt-get install thing" in caught.value.hint
    assert "OLRUNBOOK_SETUP=yes" in caught.value.hint


def test_one_question_is_enough(fakes: Fakes) -> None:
    """A yes holds for the rest of the set-up; sudo gets its password first."""
    fakes.add("sudo")
    asked: list[str] = []
    rights = Rights(1000, lambda text: not asked.append(text))
    rights.need("one", "by hand")
    rights.need("two", "by hand")
    assert len(asked) == 1
    assert fakes.calls == ["sudo -v", "sudo -v"]
    assert rights.argv("dockerd") == ["sudo", "dockerd"]


def test_no_is_no(fakes: Fakes) -> None:
    """Whoever says no gets the command to do it by hand."""
    fakes.add("sudo")
    with pytest.raises(SetupError, match="sudo was not allowed"):
        Rights(1000, lambda _: False).need("one", "by hand")
    assert fakes.calls == []


def test_a_second_setup_waits(
    tmp_path: Path,
    report: Report,
    out: io.StringIO,
    eventually: Callable[..., object],
) -> None:
    """Two checkouts do not install at the same time."""
    inside = threading.Event()

    def second() -> None:
        with machine.locked(tmp_path, report):
            inside.set()

    thread = threading.Thread(target=second)
    with machine.locked(tmp_path, Report(io.StringIO(), io.StringIO())):
        thread.start()
        eventually(thread.is_alive)
        assert not inside.wait(0.2)
    thread.join(60)
    assert inside.is_set()
    assert "another set-up" in out.getvalue()
