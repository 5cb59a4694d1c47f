"""Endings that a cell brings about."""

from __future__ import annotations

import pytest

from tests.endings.support import CONCLUDE, NEVER, Desk, Ended

ending = pytest.mark.ending


def ends(*sources: str, tags: dict[int, str] | None = None) -> Ended:
    """Run a notebook to the end it comes to by itself."""
    with Desk() as desk:
        return desk.run(*sources, tags=tags)


@ending("all is well", lambda: ends("sign()", CONCLUDE))
def test_a_run_that_concludes_succeeded(ended: Ended) -> None:
    """All cells ran and the run concluded: succeeded, exit code 0."""
    assert ended.how == ("succeeded", 0)
    assert ended.cells == ["done", "done"]


@ending("a cell raises", lambda: ends("sign(); 1 / 0", NEVER, CONCLUDE))
def test_a_cell_error_fails_the_run(ended: Ended) -> None:
    """The cell that raised is named and failed, what follows did not run."""
    assert ended.how == ("failed", 1)
    assert "ZeroDivisionError" in ended.cause
    assert ended.cells == ["failed", "not-run", "not-run"]


@ending("sys.exit(0) in a cell", lambda: ends("sign(); sys.exit(0)", NEVER, CONCLUDE))
def test_sys_exit_is_no_success(ended: Ended) -> None:
    """A notebook that leaves by sys.exit(0) ended early."""
    assert ended.how == ("failed", 1)
    assert "ended early" in ended.cause
    assert ended.cells == ["done", "not-run", "not-run"]


@ending("the last cell ran, conclude was not called", lambda: ends("sign()", "1 + 1"))
def test_an_end_before_conclude_is_no_success(ended: Ended) -> None:
    """Every cell ran and is done, and the run failed: it did not say that it is."""
    assert ended.how == ("failed", 1)
    assert "conclude" in ended.cause
    assert ended.cells == ["done", "done"]


@ending(
    "a cell tagged raises-exception raises",
    lambda: ends(
        "sign(); 1 / 0", "print('on')", CONCLUDE, tags={0: "raises-exception"}
    ),
)
def test_an_expected_error_goes_on(ended: Ended) -> None:
    """What follows ran, and the run may succeed."""
    assert ended.how == ("succeeded", 0)
    assert ended.cells == ["done", "done", "done"]


WAITS = """
from olrunbook.errors import WaitingError
sign()
with recorder._recorded("gate"):
    raise WaitingError('"Apply these changes to CI?" 1 to update', "approve it")
"""


@ending("a stage's gate waits for approval", lambda: ends(WAITS, NEVER, CONCLUDE))
def test_a_run_that_waits_is_not_failed(ended: Ended) -> None:
    """Exit code 3; the gate waits, and what follows it did not run."""
    assert ended.how == ("waiting", 3)
    assert ended.step("gate") == "waiting"
    assert ended.cells == ["waiting", "not-run", "not-run"]


@ending("a module is missing", lambda: ends("sign(); import no_such_module", CONCLUDE))
def test_a_missing_module_is_named(ended: Ended) -> None:
    """The module is named in the cause."""
    assert ended.how == ("failed", 1)
    assert "no_such_module" in ended.cause
    assert ended.cells == ["failed", "not-run"]


@ending(
    "a tool fails in a step",
    lambda: ends("sign(); step('build', 'raise SystemExit(7)')", NEVER, CONCLUDE),
)
def test_a_tool_that_fails_fails_its_step(ended: Ended) -> None:
    """The step is failed with the tool's exit code, what follows did not run."""
    assert ended.how == ("failed", 1)
    assert "exit code 7" in ended.cause
    assert ended.step("build") == "failed"
    assert ended.cells == ["failed", "not-run", "not-run"]


@ending(
    "a tool ends and leaves a daemon behind",
    lambda: ends("step('build', LEAVES)", CONCLUDE),
)
def test_a_daemon_of_a_tool_goes_with_it(ended: Ended) -> None:
    """What a tool left running in a session of its own is stopped and named."""
    assert ended.how == ("succeeded", 0)
    assert ended.place is not None
