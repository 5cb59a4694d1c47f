"""Endings by SIGKILL: of kernel, engine, supervisor, and by the memory's end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from olrunbook.archive.place import list_runs
from olrunbook.record.heartbeat import read_heartbeat
from tests.endings.support import CONCLUDE, NEVER, Child, Desk, Ended, need_root, until

ending = pytest.mark.ending
SILENT = "sign(); import time; time.sleep(300)"
TOOL = "step('build', OBEYS)"


def killed(source: str, who: Callable[[Child, int], None]) -> Ended:
    """Kill something of a run while a cell runs; let the next command close it."""
    with Desk() as desk:
        child = desk.start(source, NEVER, CONCLUDE)
        kernel = child.in_cell("cell 3, step" if "step(" in source else "cell 3")
        (place,) = list_runs(desk.archive)
        who(child, kernel)
        said, _ = child.process.communicate(timeout=90)
        whole = {
            "heartbeat": read_heartbeat(place.folder),
            "cells": len(json.loads((place.folder / "notebook.ipynb").read_bytes())),
        }
        assert not place.record.exists() or child.process.returncode >= 0
        until(lambda: _closes(desk, place.record), "a command that closes the run")
        code = child.process.returncode
        ended = Ended(code if code >= 0 else 128 - code, said, place=place)
        ended.more |= whole
        return desk.complete(ended, child.since)


def _closes(desk: Desk, record: Path) -> bool:
    """Call the next command; return whether the run has its record now."""
    done = desk.command("runs")
    assert done.returncode == 0, done.stderr
    return record.exists()


def kernel(child: Child, pid: int) -> None:
    """Kill the kernel."""
    child.send(signal.SIGKILL, pid)


def engine(child: Child, _pid: int) -> None:
    """Kill the engine."""
    child.send(signal.SIGKILL)


def both(child: Child, pid: int) -> None:
    """Kill the engine and the kernel."""
    child.send(signal.SIGSTOP, pid)  # so that it cannot end by itself in between
    child.send(signal.SIGKILL)
    child.send(signal.SIGKILL, pid)


def supervisor(child: Child, _pid: int) -> None:
    """Kill the supervisor of the tool."""
    child.send(signal.SIGKILL, child.supervisor())


@ending(
    "SIGKILL of the kernel in a silent step with a tool", lambda: killed(TOOL, kernel)
)
def test_a_killed_kernel(ended: Ended) -> None:
    """The engine says so; the supervisor has stopped the tool: exit code 5."""
    assert ended.how == ("kernel-died", 5)
    assert "SIGKILL" in ended.cause
    assert ended.step("build") == "interrupted"
    assert ended.cells == ["interrupted", "not-run", "not-run"]


@ending("SIGKILL of the engine in a silent cell", lambda: killed(SILENT, engine))
def test_a_killed_engine(ended: Ended) -> None:
    """Its last files are whole, and the next command makes the record."""
    assert ended.how == ("interrupted", 137)
    assert "the engine was killed" in ended.cause
    assert ended.more["heartbeat"]["where"] == "cell 3"
    assert ended.cells == ["interrupted", "not-run", "not-run"]


@ending("SIGKILL of the engine in a step with a tool", lambda: killed(TOOL, engine))
def test_a_killed_engine_with_a_tool(ended: Ended) -> None:
    """Its supervisor stops the tool, then the run is closed."""
    assert ended.how == ("interrupted", 137)
    assert ended.step("build") == "interrupted"
    assert ended.cells == ["interrupted", "not-run", "not-run"]


@ending(
    "SIGKILL of engine and kernel in a step with a tool", lambda: killed(TOOL, both)
)
def test_a_killed_engine_and_kernel(ended: Ended) -> None:
    """The supervisor stops the tool by its policy and closes the run."""
    assert ended.how == ("interrupted", 137)
    assert ended.step("build") == "interrupted"
    assert "build" in ended.cause
    assert ended.cells == ["interrupted", "not-run", "not-run"]


@ending("SIGKILL of a tool's supervisor", lambda: killed(TOOL, supervisor))
def test_a_killed_supervisor(ended: Ended) -> None:
    """The system interrupts the tool, the step fails and says why."""
    assert ended.how == ("failed", 1)
    assert "supervisor" in ended.cause
    assert ended.step("build") == "failed"
    assert ended.cells == ["failed", "not-run", "not-run"]


@ending(
    "SIGKILL of a supervisor, its tool ignores SIGINT and SIGTERM",
    lambda: killed("step('build', IGNORES)", supervisor),
)
def test_a_killed_supervisor_of_a_deaf_tool(ended: Ended) -> None:
    """Somebody else ends the tool by its policy."""
    assert ended.how == ("failed", 1)
    assert "supervisor" in ended.cause
    assert not ended.left


@contextmanager
def memory_group(limit: int) -> Iterator[Path]:
    """Return a memory cgroup of the test's own; its processes get so many bytes."""
    need_root("a memory cgroup")
    one, two = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    root = one if (one / "cgroup.procs").exists() else two
    group = root / f"olrunbook-endings-{os.getpid()}"
    if root == two:
        (root / "cgroup.subtree_control").write_text("+memory")
    group.mkdir()
    try:
        name = "memory.limit_in_bytes" if root == one else "memory.max"
        (group / name).write_text(str(limit))
        yield group
    finally:
        until(lambda: not (group / "cgroup.procs").read_text(), "an empty cgroup", 10)
        group.rmdir()


def out_of_memory() -> Ended:
    """Let the kernel want more memory than there is."""
    with memory_group(256 << 20) as group, Desk() as desk:
        child = desk.start(
            f"open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))",
            "sign(); hoard = [bytes([1]) * (1 << 20) for _ in range(2000)]",
            NEVER,
            CONCLUDE,
        )
        return desk.look(child)


@ending("the kernel is out of memory", out_of_memory)
def test_a_kernel_out_of_memory(ended: Ended) -> None:
    """It is killed by the system; the record says by what, and of what."""
    assert ended.how == ("kernel-died", 5)
    assert "SIGKILL" in ended.cause
    assert "out of memory" in ended.cause
    assert ended.cells == ["done", "interrupted", "not-run", "not-run"]
