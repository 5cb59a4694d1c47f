"""Run a notebook's cells; leave a true record however that ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import zmq
from nbclient.exceptions import CellExecutionComplete

from olrunbook.engine.endings import Ending, ended, verdict
from olrunbook.engine.kernel import Kernel, KernelError
from olrunbook.engine.messages import Messages
from olrunbook.engine.notebook_file import NotebookFile
from olrunbook.redact import Redactor

__all__ = ["Execution"]

POLL_MS = 100
HEARTBEAT_S = 5.0
OUTPUTS = ("stream", "display_data", "execute_result", "error", "update_display_data")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Execution:
    """One run of one notebook's cells.

    Args:
        notebook: The notebook (nbformat 4), changed in place.
        file: Where it is written, or None.
        logs: Folder for long streams.
        kernel: The kernel.
        redactor: The run's secrets.
        on_progress: Called with a line whenever there is news.
        grace_s: Seconds the kernel gets to end its cell after an interrupt.

    """

    def __init__(
        self,
        notebook: Any,
        file: NotebookFile | None,
        logs: Path,
        kernel: Kernel,
        redactor: Redactor,
        *,
        on_progress: Callable[[str], None] = lambda text: None,
        grace_s: float = 12.0,
    ) -> None:
        self.notebook, self.file, self.kernel = notebook, file, kernel
        self.redactor, self.on_progress, self.grace_s = redactor, on_progress, grace_s
        self.signals: list[str] = []
        self._seen = 0  # signals already acted on
        self.index = 0
        self.channels: Any = None
        self.client = Messages(notebook)
        self.client.redactor, self.client.stream_logs = redactor, logs
        self.began = time.monotonic()
        for cell in notebook.cells:
            cell.metadata["papermill"] = {
                "exception": None,
                "start_time": None,
                "end_time": None,
                "duration": None,
                "status": "pending",
            }
            cell.metadata["olrunbook"] = {"status": "not-run"}
            if cell.cell_type == "code":
                cell.execution_count, cell.outputs = None, []

    def run(self) -> Ending | None:
        """Run every cell; return how it ended if it did not end well."""
        handlers = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        ending: Ending | None = None
        try:
            self.notebook.metadata.setdefault("papermill", {}).update(
                start_time=_now(), end_time=None, duration=None, exception=None
            )
            self._save(0, force=True)
            self.channels = self.kernel.client()
            self.notebook.metadata["language_info"] = self.kernel.language_info
            for index, cell in enumerate(self.notebook.cells):
                self.index = index
                if ending := self._cell(cell):
                    break
            self.client.set_widgets_metadata()
        except KernelError as error:
            ending = ended("kernel-died", str(error))
        except OSError as error:  # the record must say so even when the disk is full
            ending = ended("failed", f"the record could not be written: {error}")
        except Exception as error:  # noqa: BLE001  (also when we are at fault)
            fault = f"olrunbook: {type(error).__name__}: {error}"
            ending = ended("failed", fault)
        finally:
            self._finish(ending)
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return ending

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.signals.append(signal.Signals(number).name)

    def _cell(self, cell: Any) -> Ending | None:
        meta, began = cell.metadata["papermill"], time.monotonic()
        meta.update(start_time=_now(), status="running", exception=False)
        cell.metadata["olrunbook"]["status"] = "running"
        ending = None
        if cell.cell_type == "code" and cell.source.strip():
            self.client.caps, self.client.clear_before_next_output = {}, False
            cell.metadata["execution"] = {}  # nbclient notes times here
            ending = self._code(cell, meta, began)
            self.client.flush_streams(cell)
            for cap in self.client.caps.values():
                cap.close()
        status = ending.cell_status if ending else "done"
        meta.update(
            end_time=_now(),
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
        """Send one cell, follow it until reply and idle; watch kernel and signals."""
        where = f"cell {self.index + 1}"
        expected = "raises-exception" in cell.metadata.get("tags", [])
        sent = self.channels.execute(cell.source, stop_on_error=not expected)
        poller = zmq.Poller()
        for channel in (self.channels.iopub_channel, self.channels.shell_channel):
            poller.register(channel.socket, zmq.POLLIN)
        reply: Any = None
        idle = False
        stop: Ending | None = None
        give_up = float("inf")
        beat = heard = began
        while not (reply and idle):
            poller.poll(POLL_MS)
            self._hear()
            heard_now, idle_now = self._receive(sent, cell)
            heard, idle = (time.monotonic() if heard_now else heard), idle or idle_now
            while self.channels.shell_channel.msg_ready():
                message = self.channels.shell_channel.get_msg(timeout=0)
                if message["parent_header"].get("msg_id") == sent:
                    reply = message["content"]
            clock = time.monotonic()
            if self.kernel.process.poll() is not None and not idle:
                cause = f"{where}: the kernel died ({self.kernel.last_words()})"
                return stop or ended("kernel-died", cause)
            if len(self.signals) > self._seen:
                self._seen, name = len(self.signals), self.signals[-1]
                seconds = clock - self.began
                code = 128 + signal.Signals[self.signals[0]]
                cause = f"{self.signals[0]} after {seconds:.0f} s, in {where}"
                stop = stop or ended("interrupted", cause, code=code)
                give_up = min(give_up, clock + self.grace_s)
                self.on_progress(f"{name}: stopping what runs")
                self.kernel.interrupt()
            elif clock > give_up:
                return stop
            if clock - beat >= (1.0 if heard > beat else HEARTBEAT_S):
                meta["heartbeat"] = {
                    "at": _now(),
                    "elapsed_s": round(clock - began, 1),
                    "silent_s": round(clock - heard, 1),
                }
                self.client.flush_streams(cell)
                self._save(self.index)
                beat = clock
        meta.pop("heartbeat", None)
        return verdict(reply, where, stop, self.redactor, expected=expected)

    def _receive(self, sent: str, cell: Any) -> tuple[bool, bool]:
        """Take the outputs that are there; return (heard something, cell is idle)."""
        heard = idle = False
        while self.channels.iopub_channel.msg_ready():
            message = self.channels.iopub_channel.get_msg(timeout=0)
            if message["parent_header"].get("msg_id") != sent:
                continue
            heard |= message["msg_type"] in OUTPUTS
            try:
                self.client.process_message(message, cell, self.index)
            except CellExecutionComplete:
                idle = True
        return heard, idle

    def _hear(self) -> None:
        for said in self.kernel.hear():
            if "secret" in said:
                self.redactor.learn(said["secret"])
            if "progress" in said:
                self.on_progress(said["progress"])

    def _save(self, running: int | None, *, force: bool = False) -> None:
        if self.file:
            self.file.save(self.notebook, running, force=force)

    def _finish(self, ending: Ending | None) -> None:
        """Write down what did not run, stop the kernel, save for the last time."""
        for cell in self.notebook.cells:
            meta, ours = cell.metadata["papermill"], cell.metadata["olrunbook"]
            meta.pop("heartbeat", None)
            if ours["status"] == "running":
                ours["status"] = "interrupted"
                meta["status"] = "failed"
        self._hear()
        self.kernel.stop(2.0)
        if self.channels:
            # Open sockets would block the garbage collection of their context for ever.
            self.channels.stop_channels()
            self.channels.context.destroy(linger=0)
        self.notebook.metadata["papermill"].update(
            end_time=_now(),
            duration=round(time.monotonic() - self.began, 3),
            exception=True if ending else None,
        )
        self.notebook.metadata["olrunbook"] = {
            "status": ending.status if ending else "succeeded",
            "cause": ending.cause if ending else "",
        }
        try:
            self._save(None, force=True)
        except OSError as error:
            self.on_progress(f"the notebook could not be written: {error}")
