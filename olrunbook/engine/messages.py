"""What a kernel sends, put into the notebook; long streams are capped."""

from __future__ import annotations

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
ENDINGS = {"text/plain": "txt", "text/html": "html"}


class Messages(NotebookClient):
    """nbclient's handling of messages (display ids, widgets) with capped streams."""

    caps: dict[str, StreamCap]
    redactor: Redactor
    stream_logs: Path
    spilled: int = 0

    def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
        """Add one output; text of a stream goes through its cap."""
        hooks = self.output_hook_stack[msg["parent_header"].get("msg_id")]
        if msg["msg_type"] != "stream" or hooks:
            if data := msg["content"].get("data"):
                msg["content"]["data"] = self._capped(data, cell_index)
            return super().output(outs, msg, display_id, cell_index)
        if self.clear_before_next_output:
            outs[:] = []
            self.clear_before_next_output = False
        name = msg["content"]["name"]
        if name not in self.caps:
            outs.append(new_output("stream", name=name, text=""))
            path = self.stream_logs / f"cell-{cell_index + 1}-{name}.log"
            self.caps[name] = StreamCap(path, self.redactor)
        self.caps[name].feed(msg["content"]["text"])
        return None

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

    def flush_streams(self, cell: Any, *, final: bool = False) -> None:
        """Put what the streams have shown so far into a cell's outputs."""
        for out in cell.get("outputs", []):
            if out["output_type"] == "stream" and out["name"] in self.caps:
                out["text"] = self.caps[out["name"]].text(final=final)
