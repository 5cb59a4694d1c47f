"""The outputs of an interactive run's cells, and which are not yet written down."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jupyter_client.session import Session

from olrunbook.record.executed import WIDGETS
from olrunbook.record.jupyter import new_code_cell, new_notebook
from olrunbook.record.outputs import Outputs, is_output
from olrunbook.redact import Redactor

DELIMITER = b"<IDS|MSG>"


class Shown:
    """What the cells of one run have shown so far.

    The kernel's own session unpacks what was published; what is long goes to `logs`.
    """

    def __init__(self, session: Any, logs: Path, redactor: Redactor) -> None:
        self._unpack = session.unpack
        self._outputs = Outputs(new_notebook(), logs, redactor)
        # nbclient's stand-in for the Output widget answers the kernel. Here the real
        # front end does that.
        nobody: Any = SimpleNamespace(
            session=Session(), shell_channel=SimpleNamespace(send=lambda message: None)
        )
        self._outputs.kc = nobody
        self._written: list[list[dict[str, Any]]] = []
        self._states: dict[str, Any] = {}  # of widgets, as they are written down
        self._taking = threading.Lock()

    def add(self, request: str = "") -> None:
        """Add the next cell; without its request's id nobody heard its outputs."""
        with self._taking:
            if request:
                self._outputs.sent[request] = len(self._written)
            self._outputs.nb.cells.append(new_code_cell())
            self._written.append([])

    def take(self, frames: Sequence[Any]) -> bool:
        """Take a message as it goes over the wire; return whether it shows anything.

        ValueError where it is no message of a kernel.
        """
        parts = [bytes(frame) for frame in frames[:8]]
        at = parts.index(DELIMITER)
        header = self._unpack(parts[at + 2])
        if not is_output(header["msg_type"]):
            return False
        parent, metadata, content = map(self._unpack, parts[at + 3 : at + 6])
        message = {
            "header": header,
            "msg_type": header["msg_type"],
            "parent_header": parent,
            "metadata": metadata,
            "content": content,
            "buffers": frames[at + 6 :],
        }
        with self._taking:
            self._outputs.take(message, len(self._written) - 1)
        return True

    def news(self, *, last: bool) -> Iterator[dict[str, Any]]:
        """Yield what changed since the last call, as lines for the journal.

        Until a cell's `last` news, when it has ended, a line that is not whole waits:
        half a secret would not be recognised.
        """
        with self._taking:
            found = {at: self._changes(at, last=last) for at in self._outputs.changed}
            states = self._new_states() if last else {}
            if last:
                self._outputs.changed.clear()
        for at, changes in sorted(found.items()):
            if changes:
                yield {"event": "output", "n": at + 1, "outputs": changes}
        if states:
            yield {"event": "widgets", "n": len(self._written), "widgets": states}

    def _changes(self, index: int, *, last: bool) -> list[dict[str, Any]]:
        """Return what of a cell's outputs is not yet written down."""
        self._outputs.flush(index, final=last, seldom=not last)
        outputs, written = self._outputs.nb.cells[index].outputs, self._written[index]
        found: list[dict[str, Any]] = []
        if len(outputs) < len(written):
            found.append({"clear": True})
            written.clear()
        for at, output in enumerate(outputs):
            now = dict(output)
            if "text" in now and not last:
                now["text"] = now["text"][: now["text"].rfind("\n") + 1]
            if at == len(written):
                written.append({})
            before, written[at] = written[at], now
            if now == before:
                continue
            same = before.get("name") == now.get("name")
            text = before.get("text", "") if same else ""
            if text and now["text"].startswith(text):
                found.append({"at": at, "append": now["text"][len(text) :]})
            else:
                found.append({"at": at, "output": now})
        return found

    def _new_states(self) -> dict[str, Any]:
        """Return the state of each widget that changed; `{}`: it was closed."""
        metadata = self._outputs.nb.metadata
        metadata.pop("widgets", None)
        self._outputs.set_widgets_metadata()
        shown = metadata.get("widgets", {}).get(WIDGETS, {})
        now = {name: _copy(at) for name, at in shown.get("state", {}).items()}
        new = {name: at for name, at in now.items() if self._states.get(name) != at}
        new.update({name: {} for name in self._states.keys() - now.keys()})
        self._states = now
        return new


def _copy(node: Any) -> Any:
    """Return plain dicts and lists of their own: nbclient changes its in place.

    `copy.deepcopy` does not copy the buffers of a widget.
    """
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(value) for value in node] if isinstance(node, list) else node
