"""Endings by a signal to the engine, and by the limits of the catalog."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.endings.support import CONCLUDE, NEVER, Child, Desk, Ended, until

ending = pytest.mark.ending
SILENT = "sign(); import time; time.sleep(300)"
DEAF = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
sign(); time.sleep(300)
"""


def signalled(
    source: str, *numbers: int, between: Callable[[Child], None] | None = None
) -> Ended:
    """Send signals to the engine while a cell runs."""
    with Desk() as desk:
        child = desk.start(source, NEVER, CONCLUDE)
        child.kernel()
        for number in numbers:
            child.send(number)
            if between:
                between(child)
        return desk.look(child)


def limited(limits: str, source: str) -> Ended:
    """Let a run come to a limit of the catalog."""
    with Desk(limits) as desk:
        ended = desk.run(source, NEVER, CONCLUDE)
        assert ended.record is not None
        ended.seconds = None  # it would count from the cell's begin, with the limit
        return ended


@ending(
    "SIGINT in a silent step, its tool obeys",
    lambda: signalled("step('build', OBEYS)", signal.SIGINT),
)
def test_sigint_stops_the_tool_first(ended: Ended) -> None:
    """The tool ends by its policy, step and run are interrupted: exit code 130."""
    assert ended.how == ("interrupted", 130)
    assert ended.step("build") == "interrupted"
    assert ended.cells == ["interrupted", "not-run", "not-run"]
    assert not ended.left


def before_cells() -> Ended:
    """Send SIGTERM while the kernel starts."""
    with Desk() as desk:
        child = desk.start("sign()", CONCLUDE)
        status = Path(f"/proc/{child.process.pid}/status")
        until(lambda: _hears(status.read_text(), signal.SIGTERM), "a handler")
        child.send(signal.SIGTERM)
        return desk.look(child)


def _hears(status: str, number: int) -> bool:
    """Return whether a process (its `/proc/…/status`) handles a signal."""
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


@ending("SIGTERM before the first cell", before_cells)
def test_sigterm_before_the_first_cell(ended: Ended) -> None:
    """Nothing ran, and the record says so."""
    assert ended.how == ("interrupted", 143)
    assert ended.cause == "SIGTERM before the first cell"
    assert ended.cells == ["not-run", "not-run"]


@ending(
    "SIGTERM in a silent step, its tool obeys",
    lambda: signalled("step('build', OBEYS)", signal.SIGTERM),
)
def test_sigterm_leaves_a_complete_record(ended: Ended) -> None:
    """As by Ctrl-C, with its own exit code: 143."""
    assert ended.how == ("interrupted", 143)
    assert ended.step("build") == "interrupted"
    assert ended.cells == ["interrupted", "not-run", "not-run"]
    assert not ended.left


@ending(
    "SIGHUP (the terminal was closed) in a silent step, its tool obeys",
    lambda: signalled("step('build', OBEYS)", signal.SIGHUP),
)
def test_sighup_leaves_a_complete_record(ended: Ended) -> None:
    """As by Ctrl-C, with its own exit code: 129."""
    assert ended.how == ("interrupted", 129)
    assert ended.cause.startswith("SIGHUP after")
    assert ended.step("build") == "interrupted"
    assert ended.cells == ["interrupted", "not-run", "not-run"]
    assert not ended.left


@ending("SIGTERM in a cell without a step", lambda: signalled(SILENT, signal.SIGTERM))
def test_sigterm_ends_a_cell(ended: Ended) -> None:
    """The cell is interrupted, what follows did not run."""
    assert ended.how == ("interrupted", 143)
    assert ended.cells == ["interrupted", "not-run", "not-run"]


@ending(
    "SIGTERM, a tool needs 4 s to clean up and gets 1 s",
    lambda: signalled("step('build', SLOW, PATIENT)", signal.SIGTERM),
)
def test_a_tool_that_outlives_its_grace_is_named(ended: Ended) -> None:
    """The record is complete before the tool's end; its end is in the chain."""
    assert ended.how == ("interrupted", 143)
    assert ended.left == ["thing"]
    assert ended.record is not None
    assert "thing" in ended.record.finishing[0]
    assert ended.seconds is not None
    assert ended.seconds < 10
    assert [entry["file"] for entry in ended.more["after"]] == ["logs/thing.after.log"]


@ending(
    "SIGTERM, a tool ignores SIGINT and SIGTERM",
    lambda: signalled("step('build', IGNORES)", signal.SIGTERM),
)
def test_a_tool_that_ignores_the_interrupt_is_named_and_killed(ended: Ended) -> None:
    """It is named in the record and gone when its policy has come to its end."""
    assert ended.how == ("interrupted", 143)
    assert ended.left == ["thing"]
    assert "SIGKILL sent" in ended.more["late"]
    assert "code -9" in ended.more["late"]


@ending(
    "SIGTERM twice, a tool ignores SIGINT and SIGTERM",
    lambda: signalled(
        "step('build', IGNORES)",
        signal.SIGTERM,
        signal.SIGTERM,
        between=Child.stopping,
    ),
)
def test_a_second_sigterm_does_not_wait(ended: Ended) -> None:
    """The record is complete at once; the tool keeps its policy."""
    assert ended.how == ("interrupted", 143)
    assert ended.left == ["thing"]
    assert ended.cells == ["interrupted", "not-run", "not-run"]


@ending(
    "SIGTERM, a tool has a daemon in a session of its own",
    lambda: signalled("step('build', DAEMON)", signal.SIGTERM),
)
def test_a_daemon_of_an_interrupted_tool_goes_too(ended: Ended) -> None:
    """What left the tool's process group ends with it."""
    assert ended.how == ("interrupted", 143)


@ending("SIGINT, a cell ignores it", lambda: signalled(DEAF, signal.SIGINT))
def test_a_cell_that_ignores_the_interrupt_is_given_up(ended: Ended) -> None:
    """Its kernel is stopped when the grace is over."""
    assert ended.how == ("interrupted", 130)
    assert ended.cells == ["interrupted", "not-run", "not-run"]


@ending(
    "a cell takes longer than limits.step_s (5 s)",
    lambda: limited("step_s = 5", SILENT),
)
def test_the_limit_of_a_cell(ended: Ended) -> None:
    """The run is timed-out: exit code 124; the cell's limit is named."""
    assert ended.how == ("timed-out", 124)
    assert "limits.step_s" in ended.cause
    assert ended.cells == ["interrupted", "not-run", "not-run"]


@ending(
    "a step that only reads takes longer than limits.step_s",
    lambda: limited("step_s = 5", "step('preview', CHATTY)"),
)
def test_the_limit_of_a_step(ended: Ended) -> None:
    """The step is named, its tool was stopped, the step is interrupted."""
    assert ended.how == ("timed-out", 124)
    assert 'step "preview"' in ended.cause
    assert ended.step("preview") == "interrupted"


@ending(
    "a step that only reads is silent for limits.idle_s",
    lambda: limited("idle_s = 5", "step('preview', OBEYS)"),
)
def test_the_limit_of_silence(ended: Ended) -> None:
    """Silence stops what only reads."""
    assert ended.how == ("timed-out", 124)
    assert "silent" in ended.cause
    assert ended.step("preview") == "interrupted"


def goes_on(name: str) -> Ended:
    """Let a step that changes something pass the limits of a step and of silence."""
    with Desk("step_s = 5\nidle_s = 5") as desk:
        child = desk.start(
            f"step({name!r}, 'import time; print(\"up\", flush=True); time.sleep(8)')",
            CONCLUDE,
        )
        ended = desk.look(child)
        ended.seconds = None
        return ended


@ending("an `up` is silent for limits.idle_s", lambda: goes_on("up"))
def test_nothing_cuts_an_up(ended: Ended) -> None:
    """Neither its time nor its silence ends an `up`; the record keeps a warning."""
    assert ended.how == ("succeeded", 0)
    assert ended.step("up") == "done"
    assert ended.record is not None
    (warning,) = ended.record.warnings
    assert 'step "up" was silent for 5 s; it is not stopped' in warning


@ending("a `build` is silent for limits.idle_s", lambda: goes_on("build"))
def test_nothing_cuts_a_build(ended: Ended) -> None:
    """As for an `up`."""
    assert ended.how == ("succeeded", 0)
    assert ended.record is not None
    assert len(ended.record.warnings) == 1


@ending(
    "a run takes longer than limits.run_s (20 s)",
    lambda: limited("run_s = 20", "step('preview', OBEYS)"),
)
def test_the_limit_of_a_run(ended: Ended) -> None:
    """The whole run has a limit, where the catalog names one."""
    assert ended.how == ("timed-out", 124)
    assert "limits.run_s" in ended.cause
