"""Run a notebook's cells; leave a true record however that ends."""

from __future__ import annotations

import time
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any

import zmq

from olrunbook.engine.endings import Ending, may_be_ours, verdict
from olrunbook.engine.kernel import KernelError
from olrunbook.engine.notebook_file import UNKNOWN, NotebookFile, mark_not_run
from olrunbook.engine.stopping import Stopper, handled
from olrunbook.record.files import now
from olrunbook.record.heartbeat import EVERY_S, Heartbeat
from olrunbook.record.judge import skipped
from olrunbook.record.outputs import Outputs, is_output
from olrunbook.redact import Redactor

POLL_MS = 100


@dataclass(eq=False)
class Execution:
    """One run of one notebook's cells."""

    notebook: Any  # nbformat 4, changed in place
    file: NotebookFile  # where it is written
    logs: InitVar[Path]  # folder for long streams
    redactor: Redactor
    stopper: Stopper  # knows the kernel, and by its watch the limits
    heartbeat: Heartbeat  # the run's sign of life, told what goes on
    changed: bool = field(default=False, init=False)  # by a step
    unsaved: bool = field(default=False, init=False)  # the last state is not written
    index: int = field(default=0, init=False)
    channels: Any = field(default=None, init=False)

    def __post_init__(self, logs: Path) -> None:
        """Say of every cell that it has not run."""
        self.client = Outputs(self.notebook, logs, self.redactor)
        self.kernel, self.watch = self.stopper.kernel, self.stopper.watch
        mark_not_run(self.notebook)

    def run(self) -> Ending | None:
        """Run every cell; return how it ended if it did not end well."""
        with handled(self.stopper.on_signal):
            return self._run()

    def _run(self) -> Ending | None:
        ending: Ending | None = None
        try:
            meta = self.notebook.metadata.setdefault("papermill", {})
            meta.update(UNKNOWN, start_time=now())
            self._save(0, force=True)
            # nbclient's stand-ins for front ends (the Output widget) answer by it.
            self.channels = self.client.kc = self.kernel.client()
            self.notebook.metadata["language_info"] = self.kernel.language_info
            for index, cell in enumerate(self.notebook.cells):
                self.index = index
                where = f"after cell {index}" if index else "before the first cell"
                if ending := self.stopper.outside(where) or self._cell(cell):
                    break
            else:
                ending = self.stopper.outside("after the last cell")
            self.client.set_widgets_metadata()
        except KernelError as error:
            ending = self.stopper.outside("before the first cell")
            ending = ending or Ending("kernel-died", str(error))
        except OSError as error:  # the record must say so even when the disk is full
            ending = Ending("failed", f"the record could not be written: {error}")
        except Exception as error:  # noqa: BLE001  (also when we are at fault)
            fault = f"olrunbook: {type(error).__name__}: {error}"
            ending = Ending("failed", fault)
        finally:
            self._finish(ending)
        return ending

    def _cell(self, cell: Any) -> Ending | None:
        if skipped(cell):
            return None
        meta, began = cell.metadata["papermill"], time.monotonic()
        self.file.forget([self.index])
        meta.update(start_time=now(), status="running", exception=False)
        cell.metadata["olrunbook"]["status"] = "running"
        ending = None
        if cell.cell_type == "code" and cell.source.strip():
            cell.metadata["execution"] = {}  # nbclient notes times here
            ending = self._code(cell, meta, began)
        status = ending.cell_status if ending else "done"
        meta.update(
            end_time=now(),
            duration=round(time.monotonic() - began, 3),
            status={"done": "completed"}.get(status, "failed"),
            exception=bool(ending) and status != "done",
        )
        cell.metadata["olrunbook"] = {"status": status}
        if ending:
            cell.metadata["olrunbook"]["cause"] = ending.cause
        self._save(self.index + 1)
        return ending

    def _code(self, cell: Any, meta: Any, began: float) -> Ending | None:
        """Send one cell, follow it until reply and idle; watch kernel and clock."""
        where = f"cell {self.index + 1}"
        expected = "raises-exception" in cell.metadata.get("tags", [])
        self.watch.enter("", began)
        self.heartbeat.beat(where)
        sent = self.channels.execute(cell.source, stop_on_error=not expected)
        self.client.sent[sent] = self.index
        poller = zmq.Poller()
        for channel in (self.channels.iopub_channel, self.channels.shell_channel):
            poller.register(channel.socket, zmq.POLLIN)
        reply: Any = None
        idle = False
        beat = began
        while not (reply and idle):
            poller.poll(POLL_MS)
            self._hear(where)
            heard, idle_now = self._receive()
            idle = idle or idle_now
            while self.channels.shell_channel.msg_ready():
                message = self.channels.shell_channel.get_msg(timeout=0)
                if message["parent_header"].get("msg_id") == sent:
                    reply = message["content"]
            clock = time.monotonic()
            if heard:
                self._heard(clock)
            if self.kernel.process.poll() is not None and not idle:
                cause = f"{where}: the kernel died ({self.kernel.how_it_died()})"
                return self.stopper.ending or Ending("kernel-died", cause)
            self.stopper.look(clock, where)
            if self.stopper.overdue(clock):
                return self.stopper.ending
            silent = self.watch.silent_s(clock)
            soon = silent < clock - beat or beat == began
            if clock - beat >= (1.0 if soon else EVERY_S):
                beat = clock
                self.kernel.look_at_memory()
                meta["heartbeat"] = {
                    "at": now(),
                    "elapsed_s": round(clock - began, 1),
                    "silent_s": round(silent, 1),
                }
                self._save_running(clock)
        meta.pop("heartbeat", None)
        self._hear(where)  # what the last step told just before the reply
        stop = self.stopper.ending
        ask = may_be_ours(reply) and not stop and not expected
        return verdict(
            reply,
            where,
            stop,
            self.redactor,
            expected=expected,
            ours=ask and self.kernel.raised_ours(self.channels),
            changed=self.changed,
        )

    def _save_running(self, clock: float) -> None:
        self.client.flush(self.index)
        try:
            self._save(self.index)
        except OSError as error:
            if self.stopper.ending is None:  # what cannot be recorded must not go on
                cause = f"the record could not be written: {error}"
                self.stopper.halt(Ending("failed", cause), clock)

    def _heard(self, clock: float) -> None:
        self.watch.hear(clock)
        self.heartbeat.beat()

    def _receive(self) -> tuple[bool, bool]:
        """Take the outputs that are there; return (heard something, cell is idle)."""
        heard = idle = False
        while self.channels.iopub_channel.msg_ready():
            message = self.channels.iopub_channel.get_msg(timeout=0)
            index, idle_now = self.client.take(message, self.index)
            if index == self.index:  # not a task or thread of a cell that has ended
                idle |= idle_now
                heard |= is_output(message["msg_type"])
        return heard, idle

    def _hear(self, where: str = "") -> None:
        """Take what the kernel tells beside its outputs."""
        for said in self.kernel.hear():
            clock = time.monotonic()
            if "secret" in said:
                self.redactor.learn(said["secret"])
            self.changed |= said.get("changed", False)
            if "step" in said:
                self.watch.begun = True
                changes = said.get("changes", False)
                self.watch.enter(said["step"], clock, changes=changes)
                step = f', step "{said["step"]}"' if said["step"] else ""
                self.heartbeat.beat(f"{where}{step}")
            if "progress" in said:
                self._heard(clock)
                self.stopper.on_progress(said["progress"])

    def _save(self, running: int | None, *, force: bool = False) -> None:
        changed = self.client.changed
        ended = {index for index in changed if running is None or index < running}
        changed -= ended
        for index in ended:
            self.client.flush(index, final=True)
        self.file.forget(ended)
        self.file.save(self.notebook, running, force=force)

    def save_late(self) -> None:
        """Write the last state if that was not possible when it was reached.

        Raises:
            OSError: It still is not.

        """
        if self.unsaved:
            self._save(None, force=True)

    def _finish(self, ending: Ending | None) -> None:
        """Write down what did not run, stop the kernel, save for the last time."""
        for cell in self.notebook.cells:
            meta, ours = cell.metadata["papermill"], cell.metadata["olrunbook"]
            meta.pop("heartbeat", None)
            if ours["status"] == "running":
                ours["status"] = "interrupted"
                meta["status"] = "failed"
        self._hear()
        if self.channels and self.stopper.ending is None:
            for text in self.kernel.still_working(self.channels):
                self.stopper.on_warning(text)
        self.kernel.stop(0.5)
        if self.channels:
            # Open sockets would block the garbage collection of their context for ever.
            self.channels.stop_channels()
            self.channels.context.destroy(linger=0)
        self.notebook.metadata["papermill"].update(
            end_time=now(),
            duration=round(time.monotonic() - self.watch.began, 3),
            exception=True if ending and ending.status != "succeeded" else None,
        )
        self.notebook.metadata["olrunbook"] = {
            "status": ending.status if ending else "succeeded",
            "cause": ending.cause if ending else "",
        }
        try:
            self._save(None, force=True)
        except OSError:
            self.unsaved = True
