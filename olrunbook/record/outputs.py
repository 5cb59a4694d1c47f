"""The outputs of a cell, as the kernel publishes them, headless or interactive.

Adjacent pieces of one stream are one output; any other output between them parts them,
so that what was shown stays in its order. Long ones are cut; the whole goes to a log.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olrunbook.record.files import write_atomic
from olrunbook.record.jupyter import CellExecutionComplete, NotebookClient, new_output
from olrunbook.record.shapes import is_text
from olrunbook.record.streams import StreamCap
from olrunbook.redact import Redactor

LONGEST = 1_000_000  # characters of one displayed text or traceback
LARGEST = 20_000_000  # characters of one picture or document (base64)
HEAD = 20_000  # of a longer one, at its beginning and its end
STREAMS = 50  # pieces of streams kept apart between other outputs, for one cell
OUTPUTS = ("stream", "display_data", "execute_result", "error", "clear_output")
BINARY = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")
UPDATE = "update_display_data"
ECHO = "echo_update"
ENDINGS = {"text/plain": "txt", "image/svg+xml": "svg", "text/latex": "tex"}


def is_output(kind: str) -> bool:
    """Whether a message of this type changes what a cell or a widget shows."""
    return kind in OUTPUTS or kind == UPDATE or kind.startswith("comm_")


@dataclass(slots=True)
class Piece:
    """One output of a stream, and what it holds so far."""

    name: str
    out: Any
    cap: StreamCap
    shown: int = 0  # how much it had been fed when it was last put into its output


class Outputs(NotebookClient):
    """nbclient's handling of messages (display ids, widgets) with its outputs capped.

    They are changed in the notebook (nbformat 4); what is long goes to `logs`, masked.
    """

    def __init__(self, notebook: Any, logs: Path, redactor: Redactor) -> None:
        super().__init__(notebook)
        self.logs, self.redactor = logs, redactor
        self.changed: set[int] = set()  # cells whose outputs are not as last asked
        self.sent: dict[str, int] = {}  # the cells by the requests that ran them
        self.pieces: dict[int, list[Piece]] = {}  # by the index of the cell
        self._in_widgets: dict[str, Piece] = {}  # last stream of an Output widget
        self._made: dict[str, int] = {}  # logs by what they are called after
        self._clears: dict[int, bool] = {}  # cells that clear before their next output

    def take(self, msg: Any, last: int) -> tuple[int | None, bool]:
        """Take one message, also one of a cell that has ended (a task, a thread).

        Args:
            msg: The message.
            last: Index of the newest cell: what belongs to none (somebody uses a
                widget) can only change widgets.

        Returns:
            The cell's index, and whether the cell is idle now; None: it is of no cell.

        """
        kind, parent = msg["msg_type"], msg["parent_header"].get("msg_id")
        index = self.sent.get(parent)
        if index is None:
            widget = kind.startswith("comm_") or self.output_hook_stack.get(parent)
            if not (widget and is_output(kind)):
                return None, False
        at = last if index is None else index
        if "data" in msg["content"] and not kind.startswith("comm_"):
            self._cap_data(msg["content"], at)
        elif kind == "error":
            self._cap_traceback(msg["content"], at)
        if kind == UPDATE:
            shown = msg["content"].get("transient", {}).get("display_id")
            self.changed.update(self._display_id_map.get(shown, ()))
        elif kind in OUTPUTS:
            self.changed.add(at)
        self.clear_before_next_output = self._clears.get(at, False)
        try:
            self.process_message(msg, self.nb.cells[at], at)
        except CellExecutionComplete:
            return index, True
        except Exception:
            # A widget whose messages nbclient does not know is not shown, no more.
            if not kind.startswith("comm_"):
                raise
        finally:
            self._clears[at] = self.clear_before_next_output
        return index, False

    def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
        """Add one output; text of a stream goes through its cap."""
        stream = msg["msg_type"] == "stream"
        if hooks := self.output_hook_stack[msg["parent_header"].get("msg_id")]:
            super().output(outs, msg, display_id, cell_index)
            if stream and hooks[-1].outputs:
                self._feed_widget(hooks[-1], msg["content"], cell_index)
            return None
        if self.clear_before_next_output:
            self._clear(outs, cell_index)
        if not stream:
            return super().output(outs, msg, display_id, cell_index)
        self._piece(outs, msg["content"]["name"], cell_index).cap.feed(
            msg["content"]["text"]
        )
        return None

    def handle_comm_msg(self, outs: Any, msg: Any, cell_index: int) -> None:
        """Follow a widget; one that is closed is shown nowhere any more."""
        data = msg["content"]["data"]
        if (
            data.get("method") == ECHO
            and msg["content"]["comm_id"] in self.comm_objects
        ):
            # The kernel repeats late what it was told that an Output holds.
            data["state"].pop("outputs", None)
        super().handle_comm_msg(outs, msg, cell_index)
        if msg["msg_type"] == "comm_close":
            self.widget_state.pop(msg["content"]["comm_id"], None)

    def clear_output(self, outs: Any, msg: Any, cell_index: int) -> None:
        """Clear a cell's outputs, now or before its next one."""
        hooks = self.output_hook_stack[msg["parent_header"].get("msg_id")]
        if hooks or msg["content"].get("wait"):
            super().clear_output(outs, msg, cell_index)
        else:
            self._clear(outs, cell_index)

    def flush(
        self, cell_index: int, *, final: bool = False, seldom: bool = False
    ) -> None:
        """Put what the streams have shown so far (`final`: all) into a cell's outputs.

        With `seldom` a stream whose middle is left out already waits until there is as
        much again: whoever writes it down anew each time writes a lot.
        """
        for piece in self.pieces.get(cell_index, []):
            if seldom and piece.cap.dropped and piece.cap.fed < 2 * piece.shown:
                continue
            piece.out["text"] = piece.cap.text(final=final)
            piece.shown = piece.cap.fed
            if final:
                piece.cap.close()

    def _clear(self, outs: Any, cell_index: int) -> None:
        outs[:] = []
        self.clear_display_id_mapping(cell_index)
        for piece in self.pieces.pop(cell_index, []):
            piece.cap.close()
        self.clear_before_next_output = False

    def _piece(self, outs: Any, name: str, cell_index: int) -> Piece:
        """Return the last output where it is of this stream, else a new one."""
        pieces = self.pieces.setdefault(cell_index, [])
        mine = [piece for piece in pieces if piece.name == name]
        if mine and (outs[-1] is mine[-1].out or len(mine) >= STREAMS):
            return mine[-1]
        out = new_output("stream", name=name, text="")
        outs.append(out)
        log = self._log(f"cell-{cell_index + 1}-{name}", "log")
        pieces.append(Piece(name, outs[-1], StreamCap(log, self.redactor)))
        return pieces[-1]

    def _feed_widget(self, widget: Any, content: Any, cell_index: int) -> None:
        """Cap the stream that an Output widget shows last."""
        last = widget.outputs[-1]
        piece = self._in_widgets.get(widget.comm_id)
        if piece is None or piece.out is not last:
            log = self._log(f"cell-{cell_index + 1}-widget", "log")
            piece = Piece(content["name"], last, StreamCap(log, self.redactor))
            self._in_widgets[widget.comm_id] = piece
        piece.cap.feed(content["text"])
        last["text"] = piece.cap.text()

    def _log(self, name: str, ending: str) -> Path:
        """Return the path of a log that nobody has yet."""
        count = self._made[name] = self._made.get(name, 0) + 1
        return self.logs / f"{name}{f'-{count}' if count > 1 else ''}.{ending}"

    def _spill(self, whole: str, ending: str, cell_index: int) -> tuple[str, str]:
        """Put a long text, masked, into a log; return its ends, and a note."""
        path = self._log(f"cell-{cell_index + 1}-output", ending)
        whole = self.redactor.text(whole)  # before it is cut
        write_atomic(path, whole)
        note = f"{len(whole)} characters; all of them: logs/{path.name}"
        return f"{whole[:HEAD]}\n… {note} …\n{whole[-HEAD:]}", note

    def _cap_data(self, content: dict[str, Any], cell_index: int) -> None:
        """Cut what is displayed; a form that cannot be cut gives way to a note."""
        shown, notes = _formed(content), []
        for mime, value in tuple(shown.items()):
            text = _json(value) if _is_json(mime) else _plain(value)
            if len(text) <= (LARGEST if mime.startswith(BINARY) else LONGEST):
                continue
            ending = ENDINGS.get(mime, mime.rpartition("/")[2].rpartition("+")[2])
            cut, note = self._spill(text, ending, cell_index)
            if mime == "text/plain":
                shown[mime] = cut
            elif mime == "text/html":
                shown[mime] = f"<p>{note}</p>"
            else:
                del shown[mime]
                notes.append(f"{mime}: {note}")
        if notes:
            text = _plain(shown.get("text/plain", ""))
            shown["text/plain"] = "\n".join([text, *notes])

    def _cap_traceback(self, content: dict[str, Any], cell_index: int) -> None:
        """Cut a traceback and its message that are long together."""
        whole = "\n".join(map(str, content.get("traceback") or ()))
        if len(whole) > LONGEST:
            content["traceback"] = [self._spill(whole, "log", cell_index)[0]]
        if len(value := str(content.get("evalue", ""))) > LONGEST:
            content["evalue"] = self._spill(value, "log", cell_index)[0]


def _formed(content: dict[str, Any]) -> dict[str, Any]:
    """Give what is displayed the form a notebook allows: text, but for JSON."""
    data = content["data"] if isinstance(content["data"], dict) else {}
    shown = content["data"] = {
        mime: value if _is_json(mime) or is_text(value) else _plain(value)
        for mime, value in data.items()
    }
    if not isinstance(content.get("metadata"), dict):
        content["metadata"] = {}
    return shown


def _is_json(mime: str) -> bool:
    return mime == "application/json" or mime.endswith("+json")


def _plain(value: Any) -> str:
    """Return a value as text: lines joined, anything else as JSON."""
    if isinstance(value, str):
        return value
    return "".join(value) if is_text(value) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
