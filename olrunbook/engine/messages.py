"""What a kernel sends, put into the notebook; long streams are capped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbformat.v4 import new_output

from olrunbook.record.streams import StreamCap
from olrunbook.redact import Redactor

__all__ = ["Messages"]


class Messages(NotebookClient):
    """nbclient's handling of messages (display ids, widgets) with capped streams."""

    caps: dict[str, StreamCap]
    redactor: Redactor
    stream_logs: Path

    def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
        """Add one output; text of a stream goes through its cap."""
        hooks = self.output_hook_stack[msg["parent_header"].get("msg_id")]
        if msg["msg_type"] != "stream" or hooks:
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

    def flush_streams(self, cell: Any, *, final: bool = False) -> None:
        """Put what the streams have shown so far into a cell's outputs."""
        for out in cell.get("outputs", []):
            if out["output_type"] == "stream" and out["name"] in self.caps:
                out["text"] = self.caps[out["name"]].text(final=final)
