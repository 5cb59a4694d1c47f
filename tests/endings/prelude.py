"""The second cell of the tests' notebooks: a recorder, a step, a tool in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from olrunbook.errors import StepError
from olrunbook.processes.tool import POLITE, PULUMI, Command, StopPolicy, Tool
from olrunbook.record.heartbeat import process_facts
from olrunbook.record.journal import Journal
from olrunbook.redact import KEY_VARIABLE, Redactor
from olrunbook.run.recorder import Recorder

PATIENT = PULUMI
OBEYS = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: (time.sleep(0.2), sys.exit(3)))
print("up", flush=True)
time.sleep(300)
"""
SLOW = OBEYS.replace("0.2", "4")
IGNORES = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print("up", flush=True)
time.sleep(300)
"""
DAEMON = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.close(1), os.close(2)
        time.sleep(300)
    os._exit(0)
os.wait()
print("up", flush=True)
time.sleep(300)
"""
LEAVES = DAEMON.rpartition("time.sleep")[0]  # ends, and its daemon goes on
CHATTY = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(3))
print("up", flush=True)
while True:
    print("x" * 1000, flush=True)
    time.sleep(0.005)
"""

folder = Path(os.environ["OLRUNBOOK_RUN_DIR"])
desk = Path(os.environ["ENDINGS_DESK"])
redactor = Redactor(os.environ.pop(KEY_VARIABLE))
recorder = Recorder(Journal(folder, redactor), headless=True)
recorder.journal.add("begin", process=process_facts())


def sign() -> None:
    """Tell the test that the place is reached where something is done to the run."""
    (desk / "sign.new").write_text(str(os.getpid()))
    (desk / "sign.new").rename(desk / "sign")


def step(name: str, program: str, policy: StopPolicy = POLITE) -> None:
    """Run a tool in a step; the step fails where the tool does."""
    environment = {"ENDINGS_DESK": str(desk), "PATH": os.environ["PATH"]}
    with recorder._recorded(name, changes=name in ("up", "build")):
        command = Command(
            "thing",
            [sys.executable, "-c", program],
            desk,
            environment,
            folder / "logs" / "thing.log",
            policy,
        )
        with Tool(command, redactor) as tool:
            for line in tool.lines():
                if line.text == "up":
                    sign()
        assert tool.ended is not None
        if tool.ended.code != 0:
            msg = f"thing: {tool.ended.stopped or f'exit code {tool.ended.code}'}"
            raise StepError(msg)


def conclude() -> None:
    """Say that the run came to its end."""
    recorder.journal.add("conclude", headline="fine")
