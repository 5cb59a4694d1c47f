"""How a run ends: what a cell's reply or a signal means for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from olrunbook.errors import (
    InterruptedRunError,
    OlrunbookError,
    RefusedError,
    UsageError,
    WaitingError,
)
from olrunbook.record.model import EXIT_CODES, RunRecord, RunStatus
from olrunbook.redact import Redactor

# Names of our errors as the kernel reports them, and how the run ended by one. Its exit
# code is that of its status: 2 would say that nothing ran, but here a record is.
ENDINGS: dict[str, RunStatus] = {
    kind.__name__: kind.status
    for kind in (RefusedError, UsageError, WaitingError, InterruptedRunError)
}
OURS = {"StepError", "ToolError", "OlrunbookError", *ENDINGS}
ENDINGS["KeyboardInterrupt"] = "interrupted"
WELL = ("", "0")  # what sys.exit says when nothing is wrong


class RunEndedError(OlrunbookError):
    """The notebook did not run to a good end."""

    def __init__(self, record: RunRecord) -> None:
        super().__init__(f"{record.status}: {record.cause}")
        self.record = record
        self.exit_code = record.exit_code


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended when it did not end well."""

    status: RunStatus  # how the run ended
    cause: str  # why, in one line
    cell_status: str = "interrupted"  # the status of the cell it ended in
    code: int | None = None  # an exit code of its own; None: that of its status

    @property
    def exit_code(self) -> int:
        """The run's exit code."""
        return EXIT_CODES[self.status] if self.code is None else self.code


def may_be_ours(reply: Any) -> bool:
    """Whether a cell's reply names an error as we do; others may do so, too."""
    return reply.get("ename", "") in OURS


def verdict(
    reply: Any,
    where: str,
    stop: Ending | None,
    redactor: Redactor,
    *,
    expected: bool,
    ours: bool,
    changed: bool,
) -> Ending | None:
    """Return how a cell's reply ends the run; None when the next cell is to run.

    Args:
        reply: The content of the kernel's `execute_reply`.
        where: The cell's name in a cause.
        stop: The ending a signal has already decided.
        redactor: Masks the cause.
        expected: The cell is tagged `raises-exception`.
        ours: An error that is named like ours is ours.
        changed: A step has changed something: it cannot be told that nothing was done.

    """
    if reply["status"] == "ok":
        return stop
    name, value = reply.get("ename", "?"), reply.get("evalue", "")
    if stop:
        detail = f": {value}" if name == "InterruptedRunError" else ""
        return replace(stop, cause=stop.cause + detail)
    if name == "SystemExit":
        if value in WELL:  # as papermill sees it
            return Ending("succeeded", f"sys.exit({value}) in {where}", "done")
        return Ending("failed", f"{where}: ended early by sys.exit({value})", "failed")
    if expected:
        return None
    known = ours or name == "KeyboardInterrupt"
    status = ENDINGS.get(name, "failed") if known else "failed"
    if status == "refused" and changed:
        status = "failed"
    line = (f"{value}".splitlines() or [""])[0]
    if not (line and known):
        line = ": ".join(part for part in (where, name, line) if part)
    return Ending(status, redactor.text(line[:500]), status)
