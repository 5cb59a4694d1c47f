"""What a run's cells started and left: found by the run's id, named, ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from olrunbook.archive.place import list_runs
from olrunbook.engine.session import Session, run_notebook
from olrunbook.processes.left import VARIABLE, carriers, end_carriers
from olrunbook.processes.system import since
from olrunbook.record.files import new_run_id
from tests.kernels import BEGIN, Desk, record_of

SLEEP = [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(300)"]
DEAF = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.2; done"]
ABOVE = ["sh", "-c", "sleep 300 & echo up; wait"]


@pytest.fixture
def started():
    """Return a function that starts a process of a run, which is ended at the end."""
    processes = []

    def start(command, run_id):
        env = {**os.environ, VARIABLE: run_id}
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
        processes.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in [p for p in processes if p.poll() is None]:
        for child in psutil.Process(process.pid).children():
            child.kill()
        process.kill()
        process.communicate()


def test_what_carries_the_run_s_id_is_found(started) -> None:
    """By pid, with command and age; what carries another's is not."""
    run, other = new_run_id(), new_run_id()
    mine, theirs = started(SLEEP, run), started(SLEEP, other)
    (found,) = carriers(run)
    assert (found.pid, found.began) == (mine.pid, since(mine.pid))
    assert str(found).startswith(f"pid {mine.pid}, {sys.executable} -c ")
    assert str(found).endswith(" s old)")
    assert 0 <= found.age_s < 60
    assert [carrier.pid for carrier in carriers(other)] == [theirs.pid]
    assert carriers(new_run_id()) == []


def test_it_is_found_whatever_its_name_is(started, tmp_path, eventually) -> None:
    """A file's name is bytes, and need not be text; so is a process's."""
    name = os.fsencode(tmp_path) + b"/\xff) Z"
    shutil.copy(shutil.which("sleep"), name)
    run = new_run_id()
    process = started(["sh", "-c", 'echo up; exec "$0" 300', name], run)
    eventually(lambda: name in Path(f"/proc/{process.pid}/cmdline").read_bytes())
    (found,) = carriers(run)
    assert (found.pid, found.began) == (process.pid, since(process.pid))


def test_it_is_found_in_the_midst_of_its_exec(tmp_path) -> None:
    """A process shows neither command nor environment then; yet it is there."""
    again, run = tmp_path / "again.sh", new_run_id()
    again.write_text('#!/bin/sh\nexec "$0"\n')
    again.chmod(0o755)
    environment = {**os.environ, VARIABLE: run}
    with subprocess.Popen([str(again)], env=environment) as process:
        try:
            found = [[c.pid for c in carriers(run)] for _ in range(200)]
        finally:
            process.kill()
    assert found == [[process.pid]] * 200


def test_what_is_meant_to_stay_stays_with_what_it_started(started, eventually) -> None:
    """A process that was declared, and its children."""
    run = new_run_id()
    above = started(ABOVE, run)
    eventually(lambda: len(carriers(run)) == 2)  # its child may not be there yet
    assert carriers(run, [(above.pid, since(above.pid))]) == []
    assert len(carriers(run, [(above.pid, "1")])) == 2  # another of the same number


@pytest.mark.parametrize(("command", "word"), [(SLEEP, "SIGTERM"), (DEAF, "SIGKILL")])
def test_it_is_told_then_made_to_end(started, command, word) -> None:
    """And how it ended is said."""
    run, said = new_run_id(), []
    process = started(command, run)
    end_carriers(run, said.append)
    assert process.wait(60)
    mine = [text for text in said if f"pid {process.pid}, " in text]
    assert len(mine) == 1
    assert f"it was sent {word} and ended" in mine[0]
    assert carriers(run) == []


def test_what_ends_by_itself_is_not_named(started) -> None:
    """A helper that goes a moment after its parent."""
    run, said = new_run_id(), []
    started(["sh", "-c", "echo up; sleep 0.1"], run)
    end_carriers(run, said.append)
    assert said == []


CELL = """import olrunbook, subprocess
run = olrunbook.begin("x", app="tika")
stays = subprocess.Popen(["sleep", "301"])
goes = subprocess.Popen(["sleep", "302"])
run.leave(stays)
print(stays.pid, goes.pid)"""


def test_a_run_ends_what_its_cells_left_but_for_what_was_declared(
    project, make_notebook, eventually
) -> None:
    """Both are named in the record."""
    record = run_notebook(Session(project, make_notebook(CELL, "run.conclude()"), {}))
    assert record.status == "succeeded", record.cause
    stays, goes = record.warnings
    pid = int(stays.split()[3].strip(","))
    try:
        assert stays == f"left running: pid {pid}, sleep 301"
        assert psutil.Process(pid).cmdline() == ["sleep", "301"]
        assert "sleep 302" in goes
        assert goes.endswith("it was sent SIGTERM and ended")
    finally:
        os.kill(pid, 9)
    (place,) = list_runs(project.outputs)
    eventually(lambda: carriers(place.run_id) == [])


def test_by_hand_it_is_named_and_left_alone(one_desk) -> None:
    """The kernel goes on, and so may what its cells started."""
    one_desk.run(BEGIN)
    start = "import subprocess; p = subprocess.Popen(['sleep', '303'])"
    assert one_desk.run(start) == "ok"
    one_desk.run("run.conclude()")
    (warning,) = record_of(one_desk.places()[-1]).warnings[-1:]
    assert "sleep 303" in warning
    assert warning.startswith("left running by a cell: pid ")
    assert one_desk.run("assert p.poll() is None; p.kill()") == "ok"
    assert one_desk.run(f"import os; assert {VARIABLE!r} not in os.environ") == "ok"


THREADS = """import threading, time, concurrent.futures as f
pool = f.ThreadPoolExecutor(1)
pool.submit(print, "done").result()  # its worker waits
work = lambda: time.sleep(600)
threading.Thread(target=work, name="daemon", daemon=True).start()
threading.Thread(target=work, name="upload").start()"""
UNHEARD = (
    "thread upload was still working when the run ended; "
    "what it did after that is not in the record"
)


@pytest.mark.parametrize(
    ("last", "status"), [("1", "succeeded"), ("1 / 0", "failed"), ("", "succeeded")]
)
def test_a_thread_that_still_works_at_the_end_is_named(
    project, make_notebook, last, status
) -> None:
    """Neither daemons nor workers without work; also where a cell failed."""
    record = run_notebook(Session(project, make_notebook(THREADS, last), {}))
    assert record.status == status
    assert record.warnings == [UNHEARD]


def test_by_hand_a_thread_that_still_works_is_named_once(project) -> None:
    """In the record of the run whose cells started it, not in that of the next."""
    with Desk(project.root) as desk:
        for source in (BEGIN, THREADS, "run.conclude()", BEGIN, "run.conclude()"):
            assert desk.run(source) == "ok"
        first, second = (record_of(place) for place in desk.places())
        assert UNHEARD in first.warnings
        assert UNHEARD not in second.warnings


@pytest.mark.parametrize("wrong", ["'sleep'", "2 ** 22 + 1", "None"])
def test_only_a_process_can_be_left(one_desk, wrong) -> None:
    """Anything else is refused with a hint."""
    assert one_desk.run(BEGIN) == "ok"
    assert one_desk.run(f"run.leave({wrong})") == "error"
