"""What papermill loads: the engine `olrunbook`, a truthful record for every ending.

Imported by papermill alone (it loads its entry points while it is itself imported, so
that importing this module first would be a circle).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from papermill.engines import Engine

from olrunbook.errors import OlrunbookError

if TYPE_CHECKING:
    from olrunbook.engine.session import Session

# Options of papermill's own engine that would be asked of ours in vain.
_UNUSED = ("log_output", "stdout_file", "stderr_file", "execution_timeout")


class PapermillEndError(click.ClickException):
    """How a run ended, as papermill's command line (click) shows and returns it."""

    exit_code: int = 1  # type: ignore[misc]  # one of the class for click

    def __init__(self, message: str, exit_code: int, hint: str = "") -> None:
        super().__init__(message)
        self.exit_code, self.hint = exit_code, hint

    def show(self, file: Any = None) -> None:
        """Say it on standard error, without a stack of papermill's and ours."""
        click.echo(f"olrunbook: {self.message}", file=file, err=file is None)
        if self.hint:
            click.echo(f"  {self.hint}", file=file, err=file is None)


class OlrunbookEngine(Engine):  # type: ignore[misc]  # papermill has no types
    """Runs a notebook for papermill with our own execution and record."""

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> str:  # noqa: ARG003
        """Return the only kernel there is: the Python this runs in."""
        return name or "python3"

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> str:  # noqa: ARG003
        """Return the language of that kernel."""
        return language or "python"

    @classmethod
    def execute_notebook(
        cls,
        nb: Any,
        kernel_name: str,  # noqa: ARG003  (a runbook runs in the Python it lives in)
        output_path: str | None = None,
        *,
        session: Session | None = None,
        **options: Any,
    ) -> Any:
        """Execute and return the masked notebook.

        Args:
            nb: The notebook, parameters injected.
            kernel_name: Unused.
            output_path: Written at the start too; None: only at the end.
            session: The run's session; None: papermill itself called us.
            options: Of papermill's own engine: progress bar, autosave, …

        Raises:
            RunEndedError: A run of ours did not come to a good end.
            PapermillEndError: The same where papermill called us; also a parameter that
                is wrong, and then nothing was written.

        """
        if session:
            return session.execute(nb)
        for name in _UNUSED:
            if options.get(name):
                option = f"--{name.replace('_', '-')}"
                text = f"olrunbook: {option} has no effect with this engine"
                click.echo(text, err=True)
        try:
            loud = options.get("progress_bar")
            return _run(nb, output_path, _say if loud else lambda _: None)
        except OlrunbookError as error:
            hint = f"What you can do: {error.hint}" if error.hint else ""
            raise PapermillEndError(str(error), error.exit_code, hint) from None


def _run(nb: Any, early: str | None, say: Callable[[str], None]) -> Any:
    """Run a notebook papermill gave us; write its output, whole, however it ended."""
    from olrunbook.engine.endings import Ending, RunEndedError  # noqa: PLC0415  (heavy)
    from olrunbook.engine.papermill_output import Output  # noqa: PLC0415
    from olrunbook.engine.session import Session  # noqa: PLC0415
    from olrunbook.engine.stopping import unbroken  # noqa: PLC0415

    output = Output(nb.metadata.papermill.get("output_path"))
    output.check()
    where = {"base": output.base, "cwd": Path.cwd()}
    with unbroken():
        session = Session.for_papermill(nb, **where, on_progress=say)
        try:
            nb = output.prepare(nb, session.parameters)
            if early:
                output.begin(nb, session.redactor)
            with contextlib.suppress(RunEndedError):
                session.execute(nb)
        except Exception as error:  # noqa: BLE001  (the record and one line say it)
            cause = f"olrunbook: {type(error).__name__}: {error}"
            session.close(Ending("failed", cause, "failed"))
    record = session.close(None)  # the one that is there
    done = output.finish(nb, session, record)
    if record.exit_code or output.failed:
        msg = f"{record.status}: {record.cause}" if record.exit_code else record.status
        if output.failed:
            msg += f"; the output could not be written: {output.failed}"
        hint = f"record {session.place.folder}"
        raise PapermillEndError(msg, record.exit_code or 1, hint)
    # papermill would write the output once more, in place, and take an expected error
    # (tag raises-exception) for a failure.
    if output.by_command_line:
        sys.stdout.flush()
        raise click.exceptions.Exit(0)
    return done


def _say(text: str) -> None:
    if text:
        click.echo(f"  {text}", err=True)
