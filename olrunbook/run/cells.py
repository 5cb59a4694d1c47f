"""Cells of an interactive run, written to the journal as they are executed.

What is recorded is what the kernel publishes: the one place every output passes
(streams, displays, results, errors, also of forked children) is its publishing thread.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from olrunbook.record.journal import Journal, read_journal
from olrunbook.redact import Redactor
from olrunbook.run.recorder import status_of

EVERY_S = 1.0
CAUSE_LENGTH = 500
BEFORE = "outputs not recorded: the cell ran before begin"
BEGIN = "outputs before begin not recorded"


def kernel_shell() -> Any:
    """Return IPython's shell where we run in a kernel, else None."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return shell if getattr(shell, "kernel", None) is not None else None


class Cells:
    """Records each cell that is executed in this kernel until it is closed.

    `redactor` masks streams by whole lines; long ones go to the folder `logs`.
    """

    def __init__(
        self, shell: Any, journal: Journal, redactor: Redactor, logs: Path
    ) -> None:
        from olrunbook.run.outputs import Shown  # noqa: PLC0415  (heavy)

        self.on_cell: Callable[[int], None] = lambda n: None
        self.on_output: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None
        self.fault = ""
        self._shell, self._journal = shell, journal
        self._publisher = getattr(shell.kernel, "iopub_thread", None)
        self._pid = os.getpid()
        self._n = 0
        self._open: tuple[int, Any, str, float] | None = None
        self._last_of: dict[str, tuple[int, str]] = {}  # cell id: number, source
        self._shown = Shown(shell.kernel.session, logs, redactor)
        self._writing = threading.Lock()
        self._news, self._closed = threading.Event(), threading.Event()
        before, after = self._before_cell, self._after_cell
        self._hooks = {"pre_run_cell": before, "post_run_cell": after}

    def start(self, journal_before: Path | None) -> None:
        """Enter the cells executed so far, and the one that runs; follow what comes.

        `journal_before` is the folder of the run before in this kernel.
        """
        request = self._request()
        source = request.get("content", {}).get("code", "")
        history = self._shell.history_manager
        running = self._shell.execution_count - 1
        failed = getattr(history, "exceptions", {})
        raw = list(history.input_hist_raw)
        for count in range(_first(journal_before), min(running, len(raw))):
            if raw[count].strip():
                n = self._started(count, "", raw[count], before=True, note=BEFORE)
                self._shown.add()
                status = "failed" if count in failed else "done"
                self._journal.add("cell", event="ended", n=n, status=status)
        self._begin(running, source, request, None, note=BEGIN)
        for event, ours in self._hooks.items():
            self._shell.events.register(event, ours)
        if self._publisher is not None:
            self._publish = self._publisher.send_multipart
            self._publisher.send_multipart = self._published
            thread = threading.Thread(target=self._flush_often, daemon=True)
            thread.name = "olrunbook-cells"
            thread.start()

    def close(self, why: str = "the kernel was shut down") -> None:
        """Write down what is left, and why a cell in its middle ends; then no more."""
        if self._closed.is_set():
            return
        if self._open:
            self._end("interrupted", why)
        self._flush(last=True)
        self._closed.set()
        self._news.set()
        for event, ours in self._hooks.items():
            try:
                self._shell.events.unregister(event, ours)
            except ValueError:
                continue  # the shell is going down
        publisher = self._publisher
        # Somebody may have wrapped it after us; then ours only hands on.
        if publisher is not None and publisher.send_multipart == self._published:
            publisher.send_multipart = self._publish

    def _request(self) -> dict[str, Any]:
        found: dict[str, Any] = self._shell.kernel.get_parent("shell") or {}
        return found

    def _before_cell(self, info: Any) -> None:
        """Write down that a cell begins; one run from inside another is part of it."""
        if self._open or self._closed.is_set():
            return
        count = self._shell.execution_count - (1 if info.store_history else 0)
        self._begin(count, info.raw_cell, self._request(), info)

    def _begin(
        self, count: int, source: str, request: dict[str, Any], info: Any, **facts: Any
    ) -> None:
        name = (request.get("metadata") or {}).get("cellId") or ""
        n = self._started(count, name, source, **facts)
        self._shown.add(request.get("header", {}).get("msg_id", ""))
        self._open = (n, info, source, time.monotonic())
        self.on_cell(n)

    def _started(self, count: int, name: str, source: str, **facts: Any) -> int:
        self._n += 1
        if name and name in self._last_of:
            number, text = self._last_of[name]
            facts |= {"repeat_of": number, "edited": text != source}
        if name:
            self._last_of[name] = (self._n, source)
        cell = {"execution_count": count, "cell_id": name, "source": source}
        self._journal.add("cell", event="started", n=self._n, **cell, **facts)
        return self._n

    def _after_cell(self, result: Any) -> None:
        """Write down how a cell ended."""
        if not self._open or self._closed.is_set():
            return
        _, info, source, _ = self._open
        if result is not None and (
            result.info is not info
            if info is not None
            else result.info.raw_cell != source
        ):
            return  # a cell run from inside this one, or an empty one
        sys.stdout.flush()
        sys.stderr.flush()
        if result is None:  # IPython has none for a coroutine that was interrupted
            self._end("interrupted", "KeyboardInterrupt")
        else:
            self._end(*_outcome(self._shell, result))
        self.on_end()

    def _end(self, status: str, cause: str) -> None:
        assert self._open
        n, _, _, began = self._open
        self._open = None
        self._flush(last=True)
        seconds = round(time.monotonic() - began, 3)
        facts = {"cause": cause} if cause else {}
        self._write(event="ended", n=n, status=status, seconds=seconds, **facts)

    def _published(self, frames: list[Any], *words: Any, **named: Any) -> Any:
        """Take note of what the kernel publishes, and let it go on."""
        if os.getpid() == self._pid and not self._closed.is_set():
            try:
                if self._shown.take(frames):
                    self.on_output()
                    self._news.set()
            except Exception as error:  # noqa: BLE001  (never between kernel and user)
                self.fault = f"an output could not be read: {type(error).__name__}"
        return self._publish(frames, *words, **named)

    def _flush_often(self) -> None:
        """Write down what is new, at most once a second."""
        while not self._closed.is_set():
            self._news.wait()
            self._news.clear()
            self._flush(last=False)
            self._closed.wait(EVERY_S)

    def _flush(self, *, last: bool) -> None:
        with self._writing:  # what is collected first is written first
            if self._closed.is_set():
                return
            for line in self._shown.news(last=last):
                self._write(**line)

    def _write(self, **data: Any) -> None:
        try:
            self._journal.add("cell", **data)
        except OSError as error:
            self.fault = f"a cell could not be recorded: {error.strerror}"


def _first(before: Path | None) -> int:
    """Return the first execution count that is not the business of the run before.

    Run All once more begins with the imports: they came after the last cell of the run
    before that did something.
    """
    count = 0
    done = 0
    for entry in read_journal(before) if before else ():
        if entry["kind"] == "cell" and entry["event"] == "started":
            count = entry.get("execution_count") or count
        elif entry["kind"] in ("begin", "step", "conclude"):
            done = count
    return done + 1


def _outcome(shell: Any, result: Any) -> tuple[str, str]:
    """Return a cell's status and cause."""
    error = result.error_before_exec or result.error_in_exec
    if error is None:
        if getattr(shell, "_last_traceback_during_displayhook", False):
            return "failed", "its result could not be shown"
        return "done", ""
    if isinstance(error, SystemExit):
        return "failed", f"ended early by sys.exit({error})"
    if isinstance(error, asyncio.CancelledError):
        return "interrupted", "KeyboardInterrupt"
    name, line = type(error).__name__, (str(error).splitlines() or [""])[0]
    cause = f"{name}: {line[:CAUSE_LENGTH]}" if line else name
    return status_of(error), cause
