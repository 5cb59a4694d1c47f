"""The docker engine: the one that answers, never a second one, ours ended."""

from __future__ import annotations

import io
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from setup import engine
from setup.report import Report, SetupError
from tests.setup.support import Fakes, nobody

ALIVE = engine.started_at(os.getpid())

ANSWERS = 'echo "20.10 (overlay2)"'
ANSWERS_WHEN_UP = (
    'if [ "$1" = ps ]; then exit 0; fi\n'
    'if [ -e "$STATE" ]; then echo "20.10 (overlay2)"; else\n'
    "  echo Cannot connect to the Docker daemon >&2; exit 1; fi"
)


def test_an_engine_that_answers_is_used(
    fakes: Fakes, report: Report, out: io.StringIO, tmp_path: Path
) -> None:
    """No second one is started, and none is remembered as ours."""
    fakes.add("docker", ANSWERS)
    fakes.add("dockerd")
    engine.ensure(report, nobody(), tmp_path)
    assert "found" in out.getvalue()
    assert not [call for call in fakes.calls if call.startswith("dockerd")]
    assert not (tmp_path / engine.MEMORY).exists()


def test_an_engine_one_may_not_use_is_explained(
    fakes: Fakes, report: Report, tmp_path: Path
) -> None:
    """The docker group is the answer, not a second daemon."""
    fakes.add("docker", "echo 'Got permission denied while …' >&2; exit 1")
    fakes.add("dockerd")
    with pytest.raises(SetupError, match="may not use it") as caught:
        engine.ensure(report, nobody(0), tmp_path)
    assert "usermod -aG docker" in caught.value.hint
    assert not [call for call in fakes.calls if call.startswith("dockerd")]


def test_a_daemon_that_does_not_answer_is_waited_for(
    fakes: Fakes,
    report: Report,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beside a daemon that lives no other is started, even when it stays silent."""
    fakes.add("docker", "echo Cannot connect >&2; exit 1")
    fakes.add("dockerd")
    monkeypatch.setattr(engine, "daemons", lambda: [4711])
    monkeypatch.setattr(engine, "ANSWER_S", 0.5)
    with pytest.raises(SetupError, match="no answer"):
        engine.ensure(report, nobody(0), tmp_path)
    assert not [call for call in fakes.calls if call.startswith("dockerd")]


def test_an_engine_elsewhere_is_refused(
    fakes: Fakes, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instances must run on this machine."""
    fakes.add("docker", ANSWERS)
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(SetupError, match="must run on this machine"):
        engine.ensure(report, nobody(0), tmp_path)
    assert fakes.calls == []


def test_an_engine_is_started_remembered_and_stopped(
    fakes: Fakes,
    report: Report,
    out: io.StringIO,
    tmp_path: Path,
    eventually: Callable[..., object],
) -> None:
    """Where none answers one is started in its own session; `down` ends it again."""
    for name in ("sleep", "kill", "rm"):
        (fakes.folder / name).symlink_to(str(shutil.which(name, path="/usr/bin:/bin")))
    fakes.add("docker", ANSWERS_WHEN_UP)
    pid_file = tmp_path / "docker.pid"
    end = f'rm "$STATE" {pid_file}; exit 0'
    fakes.add(
        "dockerd",
        f"trap '{end}' TERM\necho $$ >{pid_file}\n: >\"$STATE\"\n"
        "echo this goes to the log\nsleep 60 & wait",
    )
    cache = tmp_path / "cache"
    engine.ensure(report, nobody(0), cache)
    memory = json.loads((cache / engine.MEMORY).read_text())
    pid = memory["pid"]
    assert os.getsid(pid) == pid
    assert "this goes to the log" in Path(memory["log"]).read_text()
    engine.ensure(report, nobody(0), cache)
    assert sum(call.startswith("dockerd") for call in fakes.calls) == 1
    threading.Thread(target=os.waitpid, args=(pid, 0), daemon=True).start()
    engine.stop_ours(report, nobody(0), cache)
    eventually(lambda: not pid_file.exists())
    assert not (cache / engine.MEMORY).exists()
    assert "stopped (pid" in out.getvalue()


def test_an_engine_that_dies_shows_its_last_words(
    fakes: Fakes, report: Report, tmp_path: Path
) -> None:
    """The end of its log is in the error."""
    fakes.add("docker", ANSWERS_WHEN_UP)
    fakes.add("dockerd", "echo failed to start: no iptables; exit 1")
    with pytest.raises(SetupError, match="no iptables"):
        engine.ensure(report, nobody(0), tmp_path)


def test_an_engine_in_use_is_left_up(
    fakes: Fakes, report: Report, out: io.StringIO, tmp_path: Path
) -> None:
    """Somebody's containers run on it: `down` leaves it, and says so."""
    fakes.add("docker", "echo abc; echo def")
    memory = {"pid": os.getpid(), "started_at": ALIVE, "log": ""}
    (tmp_path / engine.MEMORY).write_text(json.dumps(memory))
    engine.stop_ours(report, nobody(0), tmp_path)
    assert "2 containers run on it" in out.getvalue()


def test_another_process_with_the_number_is_not_ours(
    fakes: Fakes, report: Report, tmp_path: Path
) -> None:
    """A number that was given anew is not stopped: the start time differs."""
    memory = {"pid": os.getpid(), "started_at": "1", "log": ""}
    (tmp_path / engine.MEMORY).write_text(json.dumps(memory))
    engine.stop_ours(report, nobody(0), tmp_path)
    assert fakes.calls == []
    assert not (tmp_path / engine.MEMORY).exists()


def test_systemd_starts_it_where_it_rules(
    fakes: Fakes, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own daemon is not run beside systemd's, and not remembered as ours."""
    monkeypatch.setattr(engine, "SYSTEMD", tmp_path)
    fakes.add("docker", ANSWERS_WHEN_UP)
    fakes.add("systemctl", ': >"$STATE"')
    fakes.add("dockerd")
    engine.ensure(report, nobody(0), tmp_path / "cache")
    assert "systemctl start docker" in fakes.calls
    assert not [call for call in fakes.calls if call.startswith("dockerd")]
    engine.stop_ours(report, nobody(0), tmp_path / "cache")
