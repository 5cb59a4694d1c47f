"""Every error olrunbook raises on purpose: one base, an exit code, and a hint."""

from __future__ import annotations

from typing import Literal


class OlrunbookError(Exception):
    """Something went wrong that the reader can be told about in one line.

    Args:
        message: What happened: the thing, the value found, the value wanted.
        hint: What the reader can do about it; empty where nothing is known.

    """

    exit_code = 1
    # What a step or run that ends by it is called.
    status: Literal["failed", "refused", "waiting", "interrupted"] = "failed"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def _render_traceback_(self) -> list[str]:
        """Show one or two lines in a notebook: the stack is ours, not the reader's."""
        lines = [f"{type(self).__name__}: {self}"]
        return [*lines, f"  What you can do: {self.hint}"] if self.hint else lines


class UsageError(OlrunbookError):
    """The call is wrong (parameter, path, unknown app); nothing was started."""

    exit_code, status = 2, "refused"


class WaitingError(OlrunbookError):
    """The run needs a person's approval before it can go on."""

    exit_code, status = 3, "waiting"


class RefusedError(OlrunbookError):
    """A rule of the flow forbids it; nothing was changed."""

    exit_code, status = 4, "refused"


class StepError(OlrunbookError):
    """A step ran and its outcome is a failure."""


class ToolError(StepError):
    """A tool ended badly or could not be started.

    Args:
        message: As for the base class.
        hint: As for the base class.
        code: The tool's exit code; None when it never started.

    """

    def __init__(self, message: str, hint: str = "", code: int | None = None) -> None:
        super().__init__(message, hint)
        self.code = code


class InterruptedRunError(OlrunbookError):
    """The tool was told to stop because the run was (Ctrl-C, SIGTERM).

    Args:
        message: As for the base class.
        hint: As for the base class.
        finishing: What is still finishing under its supervisor; empty when all ended.

    """

    exit_code, status = 130, "interrupted"

    def __init__(
        self, message: str, hint: str = "", finishing: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint)
        self.finishing = finishing
