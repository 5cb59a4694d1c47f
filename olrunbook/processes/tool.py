"""Start a tool under a supervisor of its own and read what it says.

The tool never runs inside the kernel. `Tool` starts the supervisor (`python -m`) in
a session of its own and talks to it over its standard input and output, one JSON object
a line. The supervisor owns the tool's pipes, masks secrets, writes the log, and
outlives this process: when we are gone it applies the stop policy by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from olrunbook.errors import InterruptedRunError, ToolError
from olrunbook.events import Event
from olrunbook.processes.grace import grace_s
from olrunbook.processes.handout import CHAIN, SOCKET, needed, new_socket
from olrunbook.redact import Redactor

SUPERVISOR = "olrunbook.processes.supervisor"


@dataclass(frozen=True, slots=True)
class StopPolicy:
    """How a tool must be stopped."""

    # signals in order, each with the seconds to wait for the end after it
    steps: tuple[tuple[str, float], ...]
    # seconds after the first signal until the tool is reported as "still finishing" to
    # whoever waits; the supervisor itself waits on
    grace_s: float = 8.0
    # Send the signals to the tool's whole process group. False: to the tool alone,
    # because it tells its children itself.
    group: bool = False
    # the signal the system sends to the tool alone if its supervisor is killed
    orphan: str = "SIGINT"


# A second SIGINT makes the Pulumi engine drop the calls in flight: resources that exist
# and are in nobody's state (facts: pulumi-real C). So one, and then only patience.
PULUMI = StopPolicy((("SIGINT", float("inf")),))
# Packer needs minutes to delete its instance, key pair and security group. It runs in
# two processes, and the outer one drops a SIGINT (panicwrap): like Ctrl-C on a terminal
# the signal must reach the whole group. Its plugins ignore it, its scripts end by it.
PACKER = StopPolicy(
    (("SIGINT", 900.0), ("SIGTERM", 60.0), ("SIGKILL", 5.0)),
    group=True,
    orphan="SIGTERM",  # the outer process drops the other
)
POLITE = StopPolicy((("SIGINT", 4.0), ("SIGTERM", 3.0), ("SIGKILL", 5.0)), group=True)


@dataclass(frozen=True, slots=True)
class Command:
    """One call of a tool."""

    tool: str  # its name for logs and events
    argv: Sequence[str]  # program and arguments; never through a shell
    cwd: Path  # working directory
    # the whole environment (an allow-list; nothing is inherited)
    env: Mapping[str, str]
    log: Path  # the file its masked output is written to
    policy: StopPolicy = POLITE  # how it must be stopped
    # text given on its standard input (for secrets); None: no input
    stdin: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line a tool wrote, masked, without its newline."""

    stream: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """How a tool's call ended."""

    # exit code; negative for a signal; None while it is still finishing
    code: int | None
    stopped: str = ""  # why it was told to stop; empty when it ended by itself
    # what still runs under the supervisor (`pid 123 pulumi …`)
    finishing: tuple[str, ...] = ()
    seconds: float = 0.0  # from start to end

    def event(self, tool: str) -> Event:
        """Return it as the last event of a tool."""
        data = {**asdict(self), "finishing": list(self.finishing)}
        return Event(tool, "end", f"{tool} ended with code {self.code}", data)


@dataclass(slots=True)
class Tool:
    """A running tool. Use it as a context manager and iterate `lines()` to its end.

    Raises:
        ToolError: The program cannot be started (on entering).

    """

    command: Command
    redactor: Redactor  # its known secrets go to the supervisor by pipe
    # starts the supervisor process; an argument so that tests can watch it
    launch: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
    ended: Ended | None = None
    _process: subprocess.Popen[bytes] = field(init=False, repr=False)
    _rest: bytes = field(default=b"", repr=False)
    _began: float = 0.0
    _pipes: tuple[int, ...] = ()
    _tool: tuple[int, str] | None = None
    _socket: str = ""  # where its credentials are handed out, if they are

    def __enter__(self) -> Self:
        """Start the supervisor and the tool under it."""
        self._began = time.monotonic()
        self.command.log.parent.mkdir(parents=True, exist_ok=True)
        # We hold the reading ends, too: a tool whose supervisor is killed must not die
        # of a pipe that nobody reads.
        self._pipes = (*os.pipe(), *os.pipe())
        self._launch()
        for end in self._pipes[1::2]:  # the tool's
            os.close(end)
        first = next(self._messages(), None)
        if first is None or first.get("error"):
            detail = (first or {}).get("error", "its supervisor ended at once")
            self._close()
            msg = f"{self.command.tool} could not be started: {detail}"
            raise ToolError(msg)
        self._tool = (first["started"], first["since"])
        return self

    def _launch(self, left: tuple[int, str] | None = None) -> None:
        """Start a supervisor with a new tool, or for one that was left alone."""
        self._process = self.launch(
            # -P: the tool's folder must not shadow modules of ours
            # The log is told for `ps`: by it a supervisor is found that outlived us.
            [sys.executable, "-P", "-m", SUPERVISOR, str(self.command.log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=self._pipes[::2] if left else self._pipes,
            env=_own_environment(),
        )
        spec = asdict(self.command)
        # Whoever runs us knows how long to wait: a person, or CI before its SIGKILL.
        spec["policy"]["grace_s"] = grace_s(self.command.policy.grace_s)
        spec |= {"pipes": self._pipes[::2] if left else self._pipes, "left": left}
        spec["key"] = self.redactor._key.hex()  # noqa: SLF001  (by pipe, never by disk)
        spec["secrets"] = self.redactor.values
        if command := needed(self.command.env):
            self._socket = self._socket or new_socket()
            # The person's own environment: by pipe, and never the tool's.
            own = {"command": command, "env": dict(os.environ), "socket": self._socket}
            spec |= {"handout": own, "env": {**self.command.env, SOCKET: self._socket}}
            del spec["env"][CHAIN]
        self._send(spec)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop the tool by its policy if the caller leaves early."""
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        interrupt = stopped([self]) if interrupted else None
        if self.ended is None:
            self.stop("its step ended early")
            self._drain()
        self._close()
        if interrupt:
            raise interrupt from None

    def learn(self, secret: str) -> None:
        """Tell the supervisor a secret learned while the tool runs."""
        if self.redactor.learn(secret):
            self._send({"secret": secret})

    def stop(self, why: str) -> None:
        """Ask the supervisor to apply the stop policy; returns at once."""
        self._send({"stop": why})

    def lines(self) -> Iterator[Line]:
        """Yield the tool's masked lines until it has ended; then `ended` is set.

        Raises:
            InterruptedRunError: The step was interrupted. The tool was told to stop
                and has ended, or is named in `finishing` and goes on under its
                supervisor.

        """
        for _, said in merged({"": self}):
            if isinstance(said, Line):
                yield said

    def ready(self) -> list[int]:
        """Return what to wait on for its next message; nothing: it is here."""
        assert self._process.stdout is not None
        return [] if b"\n" in self._rest else [self._process.stdout.fileno()]

    def said(self) -> Line | Ended | None:
        """Return the next thing it says, or its end; None: what is no news."""
        message = next(self._messages(), None)
        if message is None:
            self.ended = Ended(None, "its supervisor is gone")
        elif (text := message.get("line")) is not None:
            at = datetime.fromtimestamp(message["at"], UTC)
            return Line(message["stream"], text, at)
        elif "ended" in message:
            self._finish(message)
        return self.ended

    def _finish(self, message: dict[str, Any]) -> None:
        self.redactor.masked += message.get("masked", 0)
        self.ended = Ended(
            code=message.get("code"),
            stopped=message.get("stopped", ""),
            finishing=tuple(message.get("finishing", ())),
            seconds=round(time.monotonic() - self._began, 3),
        )

    def _drain(self) -> None:
        """Read on until the tool has ended or is reported as still finishing."""
        try:
            for message in self._messages():
                if "ended" in message or "finishing" in message:
                    self._finish(message)
                    return
        except KeyboardInterrupt:
            # Never a second signal: the policy has its own. Only the waiting ends.
            name = f"{self.command.tool} under its supervisor"
            self.ended = Ended(None, "interrupted", (name,))
        self.ended = self.ended or Ended(None, "its supervisor is gone")

    def _messages(self) -> Iterator[dict[str, Any]]:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while True:
            # Lines already here first, so that nothing is lost by an interrupt.
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                yield json.loads(line)
            select.select([descriptor], [], [])
            got = os.read(descriptor, 1 << 16)
            if got:
                self._rest += got
            elif self._tool:  # it was killed: another one takes its place, once
                left, self._tool, self._rest = self._tool, None, b""
                self._launch(left)
                descriptor = self._process.stdout.fileno()
            else:
                return

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            line = json.dumps(message, default=os.fspath)
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended first; its last message is on the other pipe

    def _close(self) -> None:
        for pipe in filter(None, (self._process.stdin, self._process.stdout)):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        for end in self._pipes[::2]:
            os.close(end)
        self._pipes = ()
        if self.ended and self.ended.code is not None:
            self._process.wait()


def merged(tools: Mapping[str, Tool]) -> Iterator[tuple[str, Line | Ended]]:
    """Yield what several tools, entered, say as it comes, and of each its end.

    Raises:
        InterruptedRunError: The step was interrupted; see `stopped`.

    """
    try:
        while going := {n: tool for n, tool in tools.items() if tool.ended is None}:
            waits = {name: tool.ready() for name, tool in going.items()}
            idle = [descriptor for wait in waits.values() for descriptor in wait]
            here = {name for name, wait in waits.items() if not wait}
            seen = select.select(idle, [], [], 0 if here else None)[0]
            for name, tool in going.items():
                more = name in here or waits[name][0] in seen
                while more:
                    said = tool.said()
                    more = tool.ended is None and not tool.ready()
                    if said is not None:
                        yield name, said
    except KeyboardInterrupt:
        raise stopped(tools.values()) from None


def stopped(tools: Collection[Tool]) -> InterruptedRunError:
    """Tell tools to stop, each by its policy; return the error that says so.

    When it returns, each has ended or is named in `finishing` and goes on under its
    supervisor.
    """
    going = [tool for tool in tools if tool.ended is None]
    for tool in going:
        tool.stop("interrupted")
    for tool in going:
        tool._drain()  # noqa: SLF001  (ours)
    left = [name for tool in tools if tool.ended for name in tool.ended.finishing]
    msg = f"{' and '.join({tool.command.tool: 0 for tool in tools})} was interrupted"
    if left:
        msg += f"; still finishing: {', '.join(left)}"
    return InterruptedRunError(msg, finishing=tuple(left))


def _own_environment() -> dict[str, str]:
    """Return what the supervisor itself needs; the tool gets `Command.env`."""
    keep = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYTHONPYCACHEPREFIX", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in keep if name in os.environ}
