"""Runs without a record: alive, dead, or presumed dead, and what is made of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from olrunbook.archive.dead import close_dead, life
from olrunbook.archive.place import RunPlace, new_place, open_runs, read_record
from olrunbook.archive.supervised import MODULE, Kept, supervised
from olrunbook.archive.verifier import verify
from olrunbook.engine.stopping import StoppedError, deaf, raising, unbroken
from olrunbook.record.heartbeat import Heartbeat, process_facts, read_heartbeat
from olrunbook.record.journal import Journal
from olrunbook.redact import Redactor

Opened = Callable[..., RunPlace]


@pytest.fixture
def opened(tmp_path: Path, redactor: Redactor) -> Opened:
    """Return a function that opens a run of a process and leaves it."""

    def make(process: dict[str, Any], **more: Any) -> RunPlace:
        place = new_place(
            tmp_path, target="rehearsal", app="tika", notebook="deploy", stage="CI"
        )
        Journal(place.folder, redactor).add("run", process=process, **more)
        return place

    return make


def ended_process() -> dict[str, Any]:
    """Return the facts of a process that has ended since."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as child:
        facts = process_facts(child.pid)
        assert child.stdin is not None
        child.stdin.close()
    return facts


def test_a_run_whose_process_is_there_is_alive(opened: Opened, tmp_path: Path) -> None:
    """It is left alone."""
    place = opened(process_facts())
    assert life(place) == "alive"
    assert close_dead(tmp_path) == []
    assert not place.record.exists()


def test_a_run_whose_process_is_gone_is_closed(opened: Opened, tmp_path: Path) -> None:
    """It gets its record: interrupted, never done, and the chain is closed."""
    place = opened(ended_process())
    assert life(place) == "dead"
    (record,) = close_dead(tmp_path)
    assert (record.status, record.exit_code) == ("interrupted", 137)
    assert not record.presumed
    assert read_record(place) == record
    assert life(place) == "closed"
    assert close_dead(tmp_path) == []


def test_a_cell_that_was_to_be_skipped_has_not_run(
    opened: Opened, tmp_path: Path
) -> None:
    """Also where the run died in a later one: those before it are said to have run."""
    place = opened(ended_process())
    cells = [
        {
            "cell_type": "code",
            "source": "1",
            "outputs": [],
            "metadata": {"tags": tags, "olrunbook": {"status": "not-run"}},
        }
        for tags in (["skip-execution"], [], [])
    ]
    body = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (place.folder / "notebook.ipynb").write_text(json.dumps(body))
    beat = {"at": "2026-11-23T00:00:00+00:00", "where": "cell 3"}
    (place.folder / "heartbeat.json").write_text(json.dumps(beat))
    close_dead(tmp_path)
    found = json.loads((place.folder / "notebook.ipynb").read_text())["cells"]
    told = [cell["metadata"]["olrunbook"]["status"] for cell in found]
    assert told == ["not-run", "done", "interrupted"]


def test_another_process_of_the_same_number_is_another_one(opened: Opened) -> None:
    """A pid that was given again does not keep a dead run alive."""
    assert life(opened({**process_facts(), "start": "1"})) == "dead"


def test_before_the_last_boot_nobody_lives(opened: Opened) -> None:
    """A run of an earlier start of the machine is dead, whatever its pid is now."""
    assert life(opened({**process_facts(), "boot": "another"})) == "dead"


def test_a_run_on_another_host_is_presumed_dead_after_ten_minutes(
    opened: Opened, tmp_path: Path
) -> None:
    """Nobody can look at its process: its last sign of life decides, and is named."""
    place = opened({**process_facts(), "host": "elsewhere"})
    now = datetime.now(UTC)
    assert life(place, now + timedelta(minutes=9)) == "alive"
    assert life(place, now + timedelta(minutes=11)) == "presumed"
    journal = place.folder / "journal.jsonl"
    entry = json.loads(journal.read_text())
    entry["at"] = (now - timedelta(minutes=30)).isoformat()
    journal.write_text(json.dumps(entry) + "\n")
    (record,) = close_dead(tmp_path)
    assert record.presumed
    assert "elsewhere" in record.cause


def test_a_heartbeat_keeps_a_run_on_another_host_alive(opened: Opened) -> None:
    """Its sign of life counts more than the journal's last line."""
    place = opened({**process_facts(), "host": "elsewhere"})
    beat = Heartbeat(place.folder).start()
    try:
        sign = read_heartbeat(place.folder)
    finally:
        beat.stop()
    assert sign["process"]["pid"] == os.getpid()
    late = datetime.now(UTC) + timedelta(minutes=20)
    sign["at"] = (late - timedelta(minutes=1)).isoformat()
    (place.folder / "heartbeat.json").write_text(json.dumps(sign))
    assert life(place, late) == "alive"


def test_a_killed_kernel_of_a_run_by_hand_died(opened: Opened, tmp_path: Path) -> None:
    """A run that no engine executed ends as kernel-died; its cells are its notebook."""
    place = opened(ended_process(), executed_by="kernel")
    (record,) = close_dead(tmp_path)
    assert (record.status, record.exit_code) == ("kernel-died", 5)
    assert place.record.exists()


@pytest.mark.parametrize("at", ["os.posix_fallocate", "olrunbook.archive.chain.opened"])
def test_a_run_that_was_killed_at_its_start_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """The archive is good; what was made of it goes once nobody can be at work."""

    def killed(*_args: object, **_facts: object) -> None:
        raise SystemExit

    monkeypatch.setattr(at, killed)
    with pytest.raises(SystemExit):
        new_place(tmp_path, target="t", app="a", notebook="deploy", stage="CI")
    (place,) = open_runs(tmp_path)
    assert close_dead(tmp_path) == []
    assert verify(str(tmp_path))["problems"] == []
    folder = place.folder.with_name("2026-01-01T00-00-00Z_deploy_" + place.run_id)
    marker = place.marker.with_name(
        place.marker.name.replace(place.folder.name, folder.name)
    )
    place.folder.rename(folder)
    place.marker.rename(marker)
    assert close_dead(tmp_path) == []
    assert not folder.exists()
    assert not marker.exists()


def test_a_signal_while_a_run_is_opened_comes_to_who_runs_it() -> None:
    """It waits; where nobody inside hears it, it comes at the end."""
    with pytest.raises(KeyboardInterrupt), unbroken():
        signal.raise_signal(signal.SIGINT)
    with unbroken():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(StoppedError, match="SIGTERM"), raising():
            pytest.fail("it was not heard")
        with deaf():
            pass


def test_a_tool_under_its_supervisor_is_what_a_run_still_does(opened: Opened) -> None:
    """Found by the run's log on its command line; one that is not reaped is gone."""
    place, other = opened(ended_process()), opened(ended_process())
    log = place.logs / "deploy-ü.log"
    # Right after exec a process has no command line yet: it says when it is there.
    words = ["-c", "print(flush=True); input()", MODULE, str(log)]
    with subprocess.Popen([sys.executable, *words], stdin=-1, stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert supervised(place) == [Kept(child.pid, log)]
        assert supervised(other) == []
        assert (life(place), life(other)) == ("finishing", "dead")
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert (supervised(place), life(place)) == ([], "dead")
