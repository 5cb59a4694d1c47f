"""Forty runs, each with a random process killed by a random signal, the same each time.

Whatever is killed: nothing is left but what a supervisor holds, and what a cell had
started is named in the record.
"""

from __future__ import annotations

import random
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass

import psutil
import pytest

from olrunbook.archive.dead import close_dead
from olrunbook.archive.place import list_runs
from tests.endings.support import CONCLUDE, Desk, Ended, until

RUNS, SEED = 40, 20261128
AT_ONCE = 5
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGABRT", "SIGSEGV")
CELL = """
import subprocess
more = 'import time; time.sleep(300)'
deaf = "trap '' INT TERM HUP; while :; do sleep 1; done"
children = [subprocess.Popen([sys.executable, '-c', more]).pid]
children.append(subprocess.Popen(['sh', '-c', deaf]).pid)
children.append(subprocess.Popen(['setsid', 'sleep', '300']).pid)
(desk / 'children').write_text(' '.join(map(str, children)))
step('build', 'import time; print("up", flush=True); time.sleep(2)')
"""


@dataclass
class Killed:
    """One run: what was killed in it, and what came of it."""

    what: str
    victim: int
    children: list[int]
    ended: Ended


def kill(number: int) -> Killed:
    """Run a notebook and kill something of it."""
    chance = random.Random(SEED + number)  # noqa: S311  (no secret)
    desk = Desk()
    child = desk.start(CELL, CONCLUDE)
    child.kernel()
    children = [int(pid) for pid in (desk.folder / "children").read_text().split()]
    time.sleep(chance.random())
    there = sorted(desk.processes(), key=lambda process: process.create_time())
    victim, name = chance.choice(there), chance.choice(SIGNALS)
    what = f"run {number}: {name} to pid {victim.pid}"
    with suppress(psutil.NoSuchProcess, ProcessLookupError):  # it may just have ended
        what += f", {' '.join(victim.cmdline()[:4])}"
        child.send(signal.Signals[name], victim.pid)
    said, _ = child.process.communicate(timeout=90)
    ended = Ended(child.process.returncode, said)

    def closed() -> bool:
        close_dead(desk.archive)  # what the next command does
        (ended.place,) = list_runs(desk.archive)
        return ended.place.record.exists()

    until(closed, f"a record ({what})")
    desk.complete(ended)
    desk.close()
    return Killed(what, victim.pid, children, ended)


@pytest.fixture(scope="module")
def killed(futures: dict[str, Future[Ended]]) -> list[Killed]:
    """Return all forty; the other endings have come by then, at their own pace."""
    wait(futures.values())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(kill, range(RUNS)))


def test_nothing_is_left_but_what_a_supervisor_holds(killed) -> None:
    """No process of the run goes on unseen when its record is there."""
    assert {run.what: run.ended.unsupervised for run in killed} == {
        run.what: [] for run in killed
    }


def test_what_is_finishing_is_named(killed) -> None:
    """A tool that outlives the run stands in its record."""
    for run in killed:
        assert run.ended.record is not None
        assert bool(run.ended.left) <= bool(run.ended.record.finishing), run.what


def test_what_a_cell_had_started_is_named(killed) -> None:
    """By pid, command and age; but for what was killed itself."""
    for run in killed:
        assert run.ended.record is not None
        warnings = "\n".join(run.ended.record.warnings)
        named = {pid for pid in run.children if f"pid {pid}, " in warnings}
        assert named | {run.victim} >= set(run.children), (run.what, warnings)
        assert "is still running" not in warnings


def test_no_cell_is_falsely_called_done(killed) -> None:
    """A run succeeded exactly where its command says so; then every cell is done."""
    for run in killed:
        assert run.ended.record is not None
        good = run.ended.record.status == "succeeded"
        assert good == (run.ended.code == 0), run.what
        assert good == (run.ended.cells == ["done", "done"]), run.what


def test_the_forty_are_of_many_kinds(killed) -> None:
    """Runs that ended well and badly are among them."""
    statuses = {run.ended.record.status for run in killed if run.ended.record}
    assert len(statuses) >= 3
