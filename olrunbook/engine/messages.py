"""What a kernel sends, put into the notebook; long streams are capped.

Adjacent pieces of one stream are one output; any other output between them parts them,
so that what was shown stays in its order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbformat.v4 import new_output

from olrunbook.record.files import write_atomic
from olrunbook.record.streams import StreamCap
from olrunbook.redact import Redactor

__all__ = ["Messages"]

LONGEST = 1_000_000  # characters of one displayed text
HEAD = 20_000  # of a longer one, at its beginning and its end
STREAMS = 50  # pieces of streams kept apart between other outputs, for one cell
ENDINGS = {"text/plain": "txt", "text/html": "html"}


@dataclass(slots=True)
class Piece:
    """One output of a stream, and what it holds so far."""

    name: str
    out: Any
    cap: StreamCap


class Messages(NotebookClient):
    """nbclient's handling of messages (display ids, widgets) with capped streams."""

    redactor: Redactor
    stream_logs: Path
    spilled: int = 0

    def __init__(self, notebook: Any) -> None:
        super().__init__(notebook)
        self.pieces: dict[int, list[Piece]] = {}  # by the index of the cell
        self._made: dict[tuple[int, str], int] = {}
        self._clears: dict[int, bool] = {}  # cells that clear before their next output

    def take(self, msg: Any, cell: Any, cell_index: int) -> None:
        """Take one message of a cell, also of one that has ended.

        Args:
            msg: The message.
            cell: The cell it belongs to.
            cell_index: Its index.

        Raises:
            CellExecutionComplete: The cell is idle.

        """
        self.clear_before_next_output = self._clears.get(cell_index, False)
        try:
            self.process_message(msg, cell, cell_index)
        finally:
            self._clears[cell_index] = self.clear_before_next_output

    def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
        """Add one output; text of a stream goes through its cap."""
        if self.output_hook_stack[msg["parent_header"].get("msg_id")]:
            return super().output(outs, msg, display_id, cell_index)
        if self.clear_before_next_output:
            self._clear(outs, cell_index)
        if msg["msg_type"] != "stream":
            if data := msg["content"].get("data"):
                msg["content"]["data"] = self._capped(data, cell_index)
            return super().output(outs, msg, display_id, cell_index)
        cap = self._cap(outs, msg["content"]["name"], cell_index)
        cap.feed(msg["content"]["text"])
        return None

    def clear_output(self, outs: Any, msg: Any, cell_index: int) -> None:
        """Clear a cell's outputs, now or before its next one."""
        hooks = self.output_hook_stack[msg["parent_header"].get("msg_id")]
        if hooks or msg["content"].get("wait"):
            super().clear_output(outs, msg, cell_index)
        else:
            self._clear(outs, cell_index)

    def _clear(self, outs: Any, cell_index: int) -> None:
        outs[:] = []
        self.clear_display_id_mapping(cell_index)
        for piece in self.pieces.pop(cell_index, []):
            piece.cap.close()
        self.clear_before_next_output = False

    def _cap(self, outs: Any, name: str, cell_index: int) -> StreamCap:
        """Return the last output where it is of this stream, else a new one."""
        pieces = self.pieces.setdefault(cell_index, [])
        mine = [piece for piece in pieces if piece.name == name]
        if mine and (outs[-1] is mine[-1].out or len(mine) >= STREAMS):
            return mine[-1].cap
        count = self._made[cell_index, name] = self._made.get((cell_index, name), 0) + 1
        part = f"-{count}" if count > 1 else ""
        log = self.stream_logs / f"cell-{cell_index + 1}-{name}{part}.log"
        out = new_output("stream", name=name, text="")
        outs.append(out)
        pieces.append(Piece(name, outs[-1], StreamCap(log, self.redactor)))
        return pieces[-1].cap

    def _capped(self, data: dict[str, Any], cell_index: int) -> dict[str, Any]:
        """Return what is displayed, long texts cut; the whole of them is in a log."""
        shown = dict(data)
        for mime, value in data.items():
            if not isinstance(value, str) or len(value) <= LONGEST:
                continue
            if ending := ENDINGS.get(mime):
                self.spilled += 1
                name = f"cell-{cell_index + 1}-output-{self.spilled}.{ending}"
                whole = self.redactor.text(value)  # before it is cut
                write_atomic(self.stream_logs / name, whole)
                note = f"{len(whole)} characters; all of them: logs/{name}"
                cut = f"{whole[:HEAD]}\n… {note} …\n{whole[-HEAD:]}"
                shown[mime] = cut if mime == "text/plain" else f"<p>{note}</p>"
        return shown

    def flush_streams(self, cell_index: int, *, final: bool = False) -> None:
        """Put what the streams have shown so far into a cell's outputs.

        Args:
            cell_index: Its index.
            final: The cell has ended.

        """
        for piece in self.pieces.get(cell_index, []):
            piece.out["text"] = piece.cap.text(final=final)
            if final:
                piece.cap.close()
