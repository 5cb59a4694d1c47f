"""Run Pulumi's Automation API in a process of its own: `python -m`, JSON both ways.

Standard input carries one JSON object, the request. Standard output carries one JSON
object a line: `{"event": …}` as things happen, last `{"result": …}` or `{"error": …}`.
What the stack's program and the CLI print goes to standard error, into the log.

SIGINT and SIGTERM ask the CLI to stop, once; this process stays until the CLI has
ended, then says what is left.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from olrunbook.redact import Redactor
from olrunbook.workers.pulumi.channel import Channel


def main() -> int:
    """Do what the request says; return the exit code."""
    request = json.loads(sys.stdin.readline())
    # The program's own prints must not mix with our lines.
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    redactor = Redactor(request["mask_key"], request["secrets"])
    channel = Channel(own, redactor)
    scratch = Path(tempfile.mkdtemp(prefix="cli-", dir=request["scratch"]))
    channel.event("phase", "starting Pulumi")
    from olrunbook.workers.pulumi.cli import SafeCommand  # noqa: PLC0415  (slow import)
    from olrunbook.workers.pulumi.work import Work  # noqa: PLC0415

    asked = threading.Event()
    command: SafeCommand | None = None

    def stop(*_: object) -> None:
        asked.set()
        if command:
            command.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        command = SafeCommand(scratch, request["version"])
        if asked.is_set():
            command.stop()
        outcome = Work(request, command, channel, redactor).run()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    channel.say(outcome)
    return 0 if "result" in outcome else 1


if __name__ == "__main__":
    # Threads of gRPC may still be there; all that must be written has been flushed.
    code = main()
    sys.stderr.flush()
    os._exit(code)
