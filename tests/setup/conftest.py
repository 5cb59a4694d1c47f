"""Fixtures of set-up: a machine without programs, a report that is no terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from setup import engine, system
from setup.report import Report
from tests.setup.support import Fakes


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """Return a machine without any program, and without a daemon."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "daemons", list)
    monkeypatch.setattr(engine, "SYSTEMD", tmp_path / "no-systemd")
    monkeypatch.setattr(engine, "PID_FILE", tmp_path / "docker.pid")
    monkeypatch.setattr(engine, "PATIENCE_S", 0.5)
    monkeypatch.setattr(system, "SBIN", "")
    return Fakes(folder)


@pytest.fixture
def out() -> io.StringIO:
    """Return where the report goes: not a terminal."""
    return io.StringIO()


@pytest.fixture
def report(out: io.StringIO) -> Report:
    """Return a report to `out`."""
    return Report(io.StringIO(), out)
