"""Stopping an update: one SIGINT, a clean state, and what is left is said."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from olrunbook.adapters.pulumi import settings
from olrunbook.adapters.pulumi import stack as pulumi
from olrunbook.adapters.pulumi.found import State
from olrunbook.errors import RefusedError
from olrunbook.steps.deploy import update as deploy
from tests.pulumi.conftest import ROOT, Deploys

pytestmark = pytest.mark.rehearsal

GROUP = "create aws:autoscaling/group:Group"
PROGRAM = Path(__file__).with_name("interrupted.py")


@dataclass
class Child:
    """A run in a process of its own, and what it says."""

    process: subprocess.Popen[str]
    said: list[list[str]] = field(default_factory=list)
    lines: queue.SimpleQueue[list[str] | None] = field(
        default_factory=queue.SimpleQueue
    )

    def read(self) -> None:
        """Read its lines to the end."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def until(self, kind: str, text: str = "", timeout_s: float = 120) -> str:
        """Return the text of the first line of a kind that contains a text."""
        end = time.monotonic() + timeout_s
        while True:
            line = self.lines.get(timeout=max(end - time.monotonic(), 0.1))
            assert line is not None, f"ended without {kind} {text}: {self.said}"
            self.said.append(line)
            if line[0] == kind and text in line[1]:
                return line[1]

    def cli(self) -> psutil.Process:
        """Return the Pulumi CLI that makes the update."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # one that has just ended
                words = process.cmdline()
                if words[:1] and words[0].endswith("/pulumi") and "up" in words:
                    return process
        msg = "no pulumi up"
        raise AssertionError(msg)


@contextmanager
def running(deploys: Deploys, stage: str = "CI") -> Iterator[Child]:
    """Have a deploy in a process of its own; it is gone afterwards."""
    folder = deploys.folder / f"child-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    target = folder / "target.json"
    data = deploys.target.model_dump(mode="json", by_alias=True)
    for name in ("access_key", "secret_key"):
        data[name] = getattr(deploys.target, name).get_secret_value()
    target.touch(mode=0o600)
    target.write_text(json.dumps(data))
    given = {
        "root": str(ROOT),
        "target": str(target),
        "folder": str(folder),
        "image": deploys.images[0],
        "stage": stage,
    }
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), json.dumps(given)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    child = Child(process)
    threading.Thread(target=child.read, daemon=True).start()
    try:
        yield child
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_an_interrupted_update_leaves_a_clean_state_and_the_next_one_goes_on(
    slow_deploys: Deploys,
) -> None:
    """One SIGINT: the creation in flight is in the state, no lock, nothing pending."""
    with running(slow_deploys) as child:
        child.until("previewed")
        child.until("running", GROUP)
        began = time.monotonic()
        child.process.send_signal(signal.SIGINT)
        said = child.until("InterruptedRunError")
        seconds = time.monotonic() - began
        assert child.process.wait(90) == 130

    assert seconds < 20
    assert "no lock, nothing pending" in said
    assert "The next update does the rest" in said
    groups = slow_deploys.account.asg.describe_auto_scaling_groups()
    assert len(groups["AutoScalingGroups"]) == 1

    with running(slow_deploys) as child:
        headline = child.until("previewed")
        assert "1" in headline
        child.until("done", timeout_s=200)
    groups = slow_deploys.account.asg.describe_auto_scaling_groups()
    assert len(groups["AutoScalingGroups"]) == 1


def test_a_killed_kernel_leaves_an_update_that_stops_by_its_policy(
    slow_deploys: Deploys, eventually: Callable[..., Any]
) -> None:
    """The supervisor sees that its run is gone: one SIGINT, and no lock is left."""
    run = slow_deploys.run("QA")
    with running(slow_deploys, "QA") as child:
        child.until("previewed")
        child.until("running", GROUP)
        child.process.kill()

    prepared = settings.prepare(run, {})

    def ended() -> State | None:
        state = pulumi.look(run, prepared)
        return state if state.version and not state.locks else None

    state = eventually(ended)
    assert state.pending == []
    assert state.updates[0].result == "failed"
    assert "aws:autoscaling/group:Group" in state.types


def test_a_second_update_meets_the_lock_and_is_refused(
    slow_deploys: Deploys, eventually: Callable[..., Any]
) -> None:
    """The message says who has the stack; a kill of the CLI leaves lock and pending."""
    run, images = slow_deploys.run("Production"), {"server": slow_deploys.images[0]}
    prepared = settings.prepare(run, images)

    def in_the_state() -> bool:
        state = pulumi.look(run, prepared)
        return any("group:Group" in line for line in state.pending)

    with running(slow_deploys, "Production") as child:
        child.until("previewed")
        child.until("running", GROUP)
        with pytest.raises(RefusedError, match=r"another update is .*\(pid \d+\)"):
            deploy.preview(run, images)

        eventually(in_the_state)  # the CLI says first what it will do, then writes it
        child.cli().kill()
        said = child.until("ToolError")
        assert child.process.wait(60) == 1

    assert "locks: held by" in said
    assert "pending: creating aws:autoscaling/group:Group" in said

    subprocess.run(
        ["pulumi", "cancel", "--yes", "--stack", prepared.stack],
        cwd=prepared.folder,
        env=slow_deploys.target.environment(),
        check=True,
        capture_output=True,
    )
    unfinished = "unfinished operations: creating aws:auto"
    with pytest.raises(RefusedError, match=unfinished) as refused:
        deploy.preview(run, images)
    # As it is to be typed: Pulumi finds a stack in its project's folder only.
    assert " -C stacks/" in refused.value.hint


def test_it_may_be_interrupted_at_any_moment(
    slow_deploys: Deploys, eventually: Callable[..., Any]
) -> None:
    """Also while Pulumi has its lock and its engine does not work yet: none is left."""
    run = slow_deploys.run()
    prepared = settings.prepare(run, {})

    def free() -> bool:
        state = pulumi.look(run, prepared)
        return not state.locks

    for tenths in range(2, 16, 2):  # from the worker's start to the engine at work
        with running(slow_deploys) as child:
            child.until("previewed")
            time.sleep(tenths / 10)
            child.process.send_signal(signal.SIGINT)
            # -2: nothing had been started that would have to be stopped.
            assert child.process.wait(90) in (0, 130, -signal.SIGINT)
        eventually(free)
