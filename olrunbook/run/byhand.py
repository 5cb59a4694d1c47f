"""An interactive run, from `begin` to its seal: only the kernel itself closes it."""

from __future__ import annotations

import atexit
import os
from pathlib import Path
from typing import Any, Self

from olrunbook.archive.dead import clean
from olrunbook.archive.place import NOTEBOOK, RunPlace
from olrunbook.archive.seal import seal
from olrunbook.archive.supervised import left
from olrunbook.errors import UsageError
from olrunbook.processes.left import VARIABLE
from olrunbook.processes.threads import still_working, unheard
from olrunbook.record.executed import notebook_of
from olrunbook.record.files import as_json, write_atomic
from olrunbook.record.heartbeat import Heartbeat
from olrunbook.record.journal import Journal, read_journal
from olrunbook.redact import Redactor
from olrunbook.run.cells import Cells, kernel_shell
from olrunbook.run.recorder import GOOD

KEPT = "olrunbook_run"
AGAIN = "begin was called again in this kernel"
SHUT_DOWN = "the kernel was shut down before run.conclude()"


class ByHand:
    """Records the cells of an interactive run and seals it when it ends.

    In plain Python there are no cells; then `conclude` seals at once.
    """

    def __init__(self, place: RunPlace, journal: Journal, redactor: Redactor) -> None:
        self._place, self._journal, self._redactor = place, journal, redactor
        self._shell = kernel_shell()
        self._cells: Cells | None = None
        self._heartbeat = Heartbeat(place.folder)
        self._concluded = self._sealed = False
        self._before = still_working()  # of earlier runs in this kernel

    @classmethod
    def end_before(cls) -> Path | None:
        """Close the run before in this kernel, if there is one; return its folder."""
        shell = kernel_shell()
        before: ByHand | None = shell.meta.get(KEPT) if shell else None
        return before.leave() if before else None

    def start(self, before: Path | None) -> Self:
        """Begin to record; the run's opening line is in the journal.

        `before` is the folder of the run before in this kernel.
        """
        self._heartbeat.start()
        os.environ[VARIABLE] = self._place.run_id  # what cells start can be named
        if self._shell is not None:
            logs = self._place.logs
            self._cells = Cells(self._shell, self._journal, self._redactor, logs)
            self._cells.on_cell = lambda n: self._heartbeat.beat(f"cell {n}")
            self._cells.on_output = self._heartbeat.beat
            self._cells.on_end = self._after_cell
            self._shell.meta[KEPT] = self
            self._cells.start(before)
        atexit.register(self._close, SHUT_DOWN)
        return self

    def leave(self) -> Path:
        """Close the run, if it is open: another begins; return its directory."""
        if not self._sealed and self._cells:
            self._cells.close(AGAIN)
        self._close(AGAIN)
        return self._place.folder

    def conclude(self) -> str:
        """Seal the run: when the cell that asks for it has ended, else at once.

        Return what the reader should know of it.
        """
        self._concluded = True
        if self._cells is None:
            self._close("")
            return ""
        return " · sealed when this cell ends; later cells are not recorded"

    def _after_cell(self) -> None:
        if self._concluded:
            self._close("")

    def _close(self, why: str) -> None:
        """Write how the run ended, its notebook, and seal it; once.

        `why` is why it ends where `conclude` was not reached.
        """
        if self._sealed:
            return
        self._sealed = True
        if self._cells:
            self._cells.close()
            if self._cells.fault:
                self._journal.add("warning", text=self._cells.fault)
        self._heartbeat.stop()
        entries = read_journal(self._place.folder)
        status, cause = _ending(entries, why, concluded=self._concluded)
        masked = self._redactor.masked
        os.environ.pop(VARIABLE, None)
        goes_on = left(self._place) + unheard(still_working(self._before))
        end = {"status": status, "cause": cause, "masked": masked}
        self._journal.add("end", **end, **({"left": goes_on} if goes_on else {}))
        if self._cells:
            notebook = self._redactor.tree(notebook_of(entries))
            write_atomic(self._place.folder / NOTEBOOK, as_json(notebook) + "\n")
        _refuse(self._journal, self._place.folder)
        atexit.unregister(self._close)
        seal(self._place)
        clean(self._place)


def _ending(
    entries: list[dict[str, Any]], why: str, *, concluded: bool
) -> tuple[str, str]:
    """Return a run's status and cause: by its last bad step or cell, else `why`."""
    ended = [entry for entry in entries if entry.get("event") == "ended"]
    steps = {step["name"]: step for step in ended if step["kind"] == "step"}
    cells = [cell for cell in ended if cell["kind"] == "cell"]
    cells = [cell for cell in cells if cell.get("cause") != AGAIN]
    bad = [step for step in steps.values() if step["status"] not in GOOD]
    # Of the cells only the last: what failed before it may have been run again.
    wrong = [cell for cell in cells[-1:] if cell.get("status", "done") not in GOOD]
    where = "".join(f"cell {cell['n']}: {cell.get('cause', '')}" for cell in wrong)
    if concluded:
        return (wrong[0]["status"], where) if wrong else ("succeeded", "")
    tail = f"ended early: {why}"
    if bad:
        last = bad[-1]
        return last["status"], f'step "{last["name"]}": {last["cause"]}; {tail}'
    return (wrong[0]["status"], f"{where}; {tail}") if wrong else ("failed", tail)


def _refuse(journal: Journal, folder: Path) -> None:
    """Refuse every line that is added to a closed run."""

    def add(kind: str, **data: Any) -> None:
        del data
        msg = f"this run is closed, no {kind} can be added: {folder.name}"
        raise UsageError(msg, "Call olrunbook.begin to open another run.")

    journal.add = add  # type: ignore[method-assign]
