"""What one executed cell has put out so far, and what of it is not yet written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from olrunbook.record.streams import StreamCap
from olrunbook.redact import Redactor

__all__ = ["Outputs"]

STREAMS = 50  # pieces of streams kept apart between other outputs, for one cell
SHOW_AGAIN = 2  # a capped stream is written down anew when it has grown so much


class Stream:
    """One stream as the record shows it.

    Args:
        name: `stdout` or `stderr`.
        log: Where the whole goes when it is long.
        redactor: Masks whole lines.

    """

    def __init__(self, name: str, log: Path, redactor: Redactor) -> None:
        self.name = name
        self.cap = StreamCap(log, redactor)
        self._written: str | None = None
        self._fed = self._fed_then = 0

    def feed(self, text: str) -> None:
        """Take the next piece."""
        self._fed += len(text)
        self.cap.feed(text)

    def change(self, at: int, *, last: bool) -> dict[str, Any] | None:
        """Return what to write down; None: nothing yet.

        Args:
            at: Its place among the cell's outputs.
            last: The cell has ended. Before that, a line that is not whole waits: half
                a secret would not be recognised.

        """
        shown = self.cap.text(final=last)
        if not last:
            shown = shown[: shown.rfind("\n") + 1]
        if self._written is not None:
            if shown == self._written:
                return None
            if shown.startswith(self._written):
                more = shown[len(self._written) :]
                self._written, self._fed_then = shown, self._fed
                return {"at": at, "append": more}
            if not last and self._fed < SHOW_AGAIN * self._fed_then:
                return None  # its middle is left out already; the log has all
        self._written, self._fed_then = shown, self._fed
        output = {"output_type": "stream", "name": self.name, "text": shown}
        return {"at": at, "output": output}


class Outputs:
    """The outputs of one cell.

    Args:
        n: The cell's number in the run.
        logs: Folder for long streams.
        redactor: Masks them.

    """

    def __init__(self, n: int, logs: Path, redactor: Redactor) -> None:
        self.n, self._logs, self._redactor = n, logs, redactor
        self._slots: list[Stream | dict[str, Any]] = []
        self._displays: dict[str, set[int]] = {}
        self._changed: set[int] = set()
        self._clear_next = self._cleared = False

    def take(self, kind: str, content: dict[str, Any]) -> None:
        """Take one message of the kernel.

        Args:
            kind: Its type: stream, display_data, execute_result, error, clear_output.
            content: Its content.

        """
        if kind == "clear_output":
            self._clear_next = bool(content.get("wait"))
            if not self._clear_next:
                self._clear()
            return
        if self._clear_next:
            self._clear()
        if kind == "stream":
            at = self._stream(content["name"])
            stream = self._slots[at]
            assert isinstance(stream, Stream)
            stream.feed(content["text"])
        else:
            at = len(self._slots)
            self._slots.append(_output(kind, content))
            if name := content.get("transient", {}).get("display_id"):
                self._displays.setdefault(name, set()).add(at)
        self._changed.add(at)

    def update(self, content: dict[str, Any]) -> bool:
        """Replace what is shown under a display id; return whether it is shown here."""
        places = self._displays.get(content.get("transient", {}).get("display_id"), ())
        for at in places:
            slot = self._slots[at]
            assert isinstance(slot, dict)
            self._slots[at] = slot | {key: content[key] for key in ("data", "metadata")}
            self._changed.add(at)
        return bool(places)

    def changes(self, *, last: bool) -> list[dict[str, Any]]:
        """Return what changed since the last call, to be written down.

        Args:
            last: The cell has ended.

        """
        found: list[dict[str, Any]] = [{"clear": True}] if self._cleared else []
        for at in sorted(self._changed):
            slot = self._slots[at]
            if isinstance(slot, dict):
                found.append({"at": at, "output": slot})
            elif change := slot.change(at, last=last):
                found.append(change)
        waiting = {at for at in self._changed if isinstance(self._slots[at], Stream)}
        self._changed = set() if last else waiting
        self._cleared = False
        return found

    def close(self) -> None:
        """Close the logs of long streams."""
        for slot in self._slots:
            if isinstance(slot, Stream):
                slot.cap.close()

    def _clear(self) -> None:
        self.close()
        self._slots, self._displays, self._changed = [], {}, set()
        self._clear_next, self._cleared = False, True

    def _stream(self, name: str) -> int:
        """Return the place of a stream: the last output, or a new one."""
        places = [
            at
            for at, slot in enumerate(self._slots)
            if isinstance(slot, Stream) and slot.name == name
        ]
        if places and (places[-1] == len(self._slots) - 1 or len(places) >= STREAMS):
            return places[-1]
        part = f"-{len(places) + 1}" if places else ""
        log = self._logs / f"cell-{self.n}-{name}{part}.log"
        self._slots.append(Stream(name, log, self._redactor))
        return len(self._slots) - 1


def _output(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """Return a message's content as an output of a notebook."""
    if kind == "error":
        fields: tuple[str, ...] = ("ename", "evalue", "traceback")
    elif kind == "execute_result":
        fields = ("data", "metadata", "execution_count")
    else:
        fields = ("data", "metadata")
    return {"output_type": kind, **{field: content[field] for field in fields}}
