"""How a run ends: what a cell's reply or a signal means for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from olrunbook.errors import OlrunbookError
from olrunbook.record.model import EXIT_CODES, RunRecord, RunStatus
from olrunbook.redact import Redactor

__all__ = ["Ending", "RunEndedError", "ended", "verdict"]

# Names of our errors as the kernel reports them: how the run ended, and its exit code.
ENDINGS: dict[str, tuple[RunStatus, int]] = {
    "RefusedError": ("refused", 4),
    "UsageError": ("refused", 2),
    "WaitingError": ("waiting", 3),
    "InterruptedRunError": ("interrupted", 130),
    "KeyboardInterrupt": ("interrupted", 130),
}
WELL = ("", "0")  # what sys.exit says when nothing is wrong
OURS = ("StepError", "ToolError", "OlrunbookError")


class RunEndedError(OlrunbookError):
    """The notebook did not run to a good end.

    Args:
        record: Its record.

    """

    def __init__(self, record: RunRecord) -> None:
        super().__init__(f"{record.status}: {record.cause}")
        self.record = record
        self.exit_code = record.exit_code


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended when it did not end well."""

    status: RunStatus
    cause: str
    exit_code: int
    cell_status: str


def ended(
    status: RunStatus, cause: str, cell: str = "", code: int | None = None
) -> Ending:
    """Return an ending with its status's exit code; its cell counts as interrupted.

    Args:
        status: How the run ended.
        cause: Why, in one line.
        cell: The status of the cell it ended in, where it is not `interrupted`.
        code: An exit code of its own.

    """
    return Ending(
        status,
        cause,
        EXIT_CODES[status] if code is None else code,
        cell or "interrupted",
    )


def verdict(
    reply: Any, where: str, stop: Ending | None, redactor: Redactor, *, expected: bool
) -> Ending | None:
    """Return how a cell's reply ends the run; None when the next cell is to run.

    Args:
        reply: The content of the kernel's `execute_reply`.
        where: The cell's name in a cause.
        stop: The ending a signal has already decided.
        redactor: Masks the cause.
        expected: The cell is tagged `raises-exception`.

    """
    if reply["status"] == "ok":
        return stop
    name, value = reply.get("ename", "?"), reply.get("evalue", "")
    if stop:
        detail = f": {value}" if name == "InterruptedRunError" else ""
        return ended(stop.status, stop.cause + detail, code=stop.exit_code)
    if name == "SystemExit":
        if value in WELL:  # as papermill sees it
            return ended("succeeded", f"sys.exit({value}) in {where}", "done")
        return ended("failed", f"{where}: ended early by sys.exit({value})", "failed")
    if expected:
        return None
    status, code = ENDINGS.get(name, ("failed", 1))
    line = (f"{value}".splitlines() or [""])[0]
    cause = line if name in ENDINGS or name in OURS else f"{where}: {name}: {line}"
    cell_status = {"waiting": "waiting", "refused": "refused"}.get(status, "failed")
    if status == "interrupted":
        cell_status = "interrupted"
    return ended(status, redactor.text(cause[:500]), cell_status, code)
