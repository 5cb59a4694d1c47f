"""pyinfra under a supervisor: a deploy file against one host, told as events."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from olrunbook.adapters.toolcall import ToolCall
from olrunbook.events import Event
from olrunbook.processes.tool import POLITE, Command, Line, Tool
from olrunbook.redact import Redactor

WORKER = "olrunbook.workers.pyinfra"
# pyinfra's command as it speaks on its standard error: `--> Starting operation: …`,
# then `[host] Success`.
_STARTING = re.compile(r"^--> Starting operation: (.+?)\s*$")
_ENDED = re.compile(
    r"^\s+\[[^\]]+\] (Success|No changes|Skipped|Error: executed \d+ commands)\b"
)
_STATES = {"Success": "changed", "No changes": "no change", "Skipped": "no change"}


def deploy(
    inventory: str,
    file: Path,
    *,
    call: ToolCall,
    log: Path,
    redactor: Redactor,
    folder: Path | None = None,
) -> Iterator[Event]:
    """Run a deploy file against one host; yield what happens, at last an `end`.

    `inventory` is pyinfra's name of the host, such as `@docker/NAME`; `folder` is where
    the deploy runs, by default its own.

    Raises:
        ToolError: The worker cannot be started.
        InterruptedRunError: The step was interrupted; the worker was told to stop.

    """
    cwd = folder or file.parent
    command = Command(
        "pyinfra",
        call.worker(WORKER, inventory, str(file), str(cwd)),
        cwd=call.begins(cwd),
        env=call.env,
        log=log,
        policy=POLITE,
    )
    with Tool(command, redactor) as tool:
        for line in tool.lines():
            yield event_of(line)
        ended = tool.ended
    assert ended is not None
    yield ended.event("pyinfra")


def event_of(line: Line) -> Event:
    """Return what one line of the worker says."""
    said: Any = None
    if line.stream == "stdout" and line.text.startswith("{"):
        with contextlib.suppress(ValueError):
            said = json.loads(line.text)
    match said:
        case {"event": kind, "text": str(text), "data": data}:
            return Event("pyinfra", kind, text, data, line.at)
    return Event("pyinfra", "line", line.text, {"stream": line.stream}, line.at)


def from_its_own_words(text: str, running: str) -> tuple[str, str] | None:
    """Return (operation, state) that a line of pyinfra's own command tells; None: none.

    The line is of its standard error; `running` is the operation it named last.
    """
    if found := _STARTING.match(text):
        return found.group(1), "running"
    if running and (found := _ENDED.match(text)):
        return running, _STATES.get(found.group(1), "failed")
    return None
