"""Own one tool: its pipes, its log, its secrets, its stop policy. `python -m`.

Standard input carries one JSON object a line: first the command, then `{"secret": …}`
and `{"stop": why}`. End of file means that whoever started us is gone: the stop policy
is applied. Standard output carries `{"started": pid}`, `{"line": …}`,
`{"finishing": […]}` once the grace is over, and last `{"ended": …}`. Only the standard
library is imported, so that it starts in a blink and survives a broken installation of
the tool.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from olrunbook.processes.orphans import Adopted, end_adopted, wait_adopted
from olrunbook.processes.system import adopt, die_with_parent, since
from olrunbook.redact import Redactor, StreamMask

FLUSH_AFTER_S = 0.5  # how long an unfinished line is held back for its rest
ORPHANED = "the run that started it is gone"
KILLED = "its supervisor was killed"
HELD_PIPE_S = 2.0  # how long pipes that outlive the tool are read on


class Supervisor:
    """One tool's life, from its first message on; whoever reads ours may be gone."""

    def __init__(self, spec: dict[str, Any], out: BinaryIO) -> None:
        self.spec, self.out = spec, out
        self.process: subprocess.Popen[bytes] | Adopted
        self.redactor = Redactor(spec["key"], spec["secrets"])
        # SimpleQueue: its put may be called from a signal handler.
        self.box: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.stopped = ""
        self.orphaned = False
        self.late = False  # the run may be sealed: our log is one beside its record
        self.steps_given = spec["policy"]["steps"]
        self.steps = [(name, float(wait)) for name, wait in self.steps_given]
        self.next_at = float("inf")
        self.grace_at = float("inf")
        self.handout: Any = None
        if given := spec.get("handout"):
            from olrunbook.processes.handout import Chain, Handout  # noqa: PLC0415

            def learn(value: str) -> None:
                self.box.put(("order", {"secret": value}))

            chain = Chain(given["command"], given["env"], learn)
            self.handout = Handout(given["socket"], chain)
        self._open_log(Path(spec["log"]))

    def _open_log(self, path: Path) -> None:
        # Private: a log may hold what no mask knows.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if log := getattr(self, "log", None):
            log.close()
        self.log = os.fdopen(handle, "w", encoding="utf-8")

    def say(self, message: dict[str, Any]) -> None:
        """Send one message; whoever should read it may be gone."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.out.write(json.dumps(message).encode() + b"\n")
            self.out.flush()

    def note(self, text: str) -> None:
        """Write a line of our own into the log."""
        self._write(f"# {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}")

    def _write(self, line: str) -> None:
        try:
            self.log.write(line + "\n")
            self.log.flush()
        except OSError:
            pass  # a full disk must not keep us from stopping the tool

    def _pass_on(self) -> None:
        """Let the system stop the tool if we are killed (runs in the child).

        Signals that our caller ignores or blocks (a shell's background job ignores
        SIGINT) must reach the tool: its stop policy begins with one.
        """
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        number = getattr(signal, self.spec["policy"]["orphan"])
        die_with_parent(number)

    def run(self) -> int:
        """Start the tool, follow it to its end, return 0; 1 if it never started."""
        spec = self.spec
        adopt()
        try:
            self.process = self._left() if spec["left"] else self._started()
        except OSError as error:
            if self.handout:
                self.handout.end()
            self.say({"error": f"{error.strerror}: {spec['argv'][0]}"})
            return 1
        reads = spec["pipes"] if spec["left"] else spec["pipes"][::2]
        for end in set(spec["pipes"]) - set(reads):  # the tool's
            os.close(end)
        if self.handout:
            self.handout.start()
        self.say({"started": self.process.pid, "since": since(self.process.pid)})
        _aside(self._read, "stdout", reads[0])
        _aside(self._read, "stderr", reads[1])
        _aside(self._orders)
        if self.process.stdin is not None:
            _aside(self._feed, spec["stdin"])
        code = self._follow()
        # What must never be killed (Pulumi's own CLI, if its worker was) is waited for.
        forever = any(wait == float("inf") for _, wait in self.steps_given)
        (wait_adopted if forever else end_adopted)(self.note)
        if self.handout:
            self.handout.end()
        self._tell_end(code)
        self.log.close()
        return 0

    def _started(self) -> subprocess.Popen[bytes]:
        spec = self.spec
        self.note(self.redactor.text("$ " + " ".join(spec["argv"])))
        return subprocess.Popen(
            spec["argv"],
            cwd=spec["cwd"],
            env=spec["env"],
            stdin=subprocess.DEVNULL if spec["stdin"] is None else subprocess.PIPE,
            stdout=spec["pipes"][1],
            stderr=spec["pipes"][3],
            start_new_session=True,
            preexec_fn=self._pass_on,  # noqa: PLW1509  (we have one thread yet)
        )

    def _left(self) -> Adopted:
        """Take on the tool of a supervisor that was killed."""
        clock = time.monotonic()
        self._order({"stop": KILLED}, clock)
        # The system has sent the first signal: PR_SET_PDEATHSIG.
        self.next_at = clock + self.steps.pop(0)[1]
        return Adopted(*self.spec["left"])

    def _feed(self, text: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(text.encode())
            self.process.stdin.close()

    def _read(self, name: str, pipe: int) -> None:
        """Cut the stream into lines; a line without end is passed on after a while."""
        while got := os.read(pipe, 1 << 16):
            self.box.put((name, got))
        self.box.put((name, b""))

    def _orders(self) -> None:
        """Read what we are told; the end of the pipe is an order too."""
        for line in sys.stdin.buffer:
            self.box.put(("order", json.loads(line)))
        self.box.put(("order", {"stop": ORPHANED}))

    def _follow(self) -> int:
        """Pass on what the tool says until it has ended; return its exit code."""
        streams = ToolOutput(self.redactor)
        ended_at = float("inf")
        while True:
            clock = self._take(streams)
            self._flush(streams, clock)
            code = self.process.poll()
            if code is None:
                self._press(clock)
                continue
            ended_at = min(ended_at, clock)
            # A grandchild may hold the pipe open for ever; the tool itself is gone.
            done = not streams.open or clock - ended_at > HELD_PIPE_S
            if done and self.box.empty():
                for name in streams.masks:  # what a held pipe had begun to say
                    if text := streams.masks[name].close():
                        self._line(name, text)
                return code

    def _take(self, streams: ToolOutput) -> float:
        """Act on one message if there is one; return when that was."""
        try:
            source, got = self.box.get(timeout=0.1)
        except queue.Empty:
            return time.monotonic()
        clock = time.monotonic()
        if source == "order":
            self._order(got, clock)
        else:
            for line in streams.cut(source, got, clock):
                self._line(source, line)
        return clock

    def _flush(self, streams: ToolOutput, clock: float) -> None:
        """Pass on unfinished lines whose rest is overdue or will not come."""
        for name in streams.masks:
            overdue = clock - streams.fed[name] > FLUSH_AFTER_S and self.box.empty()
            waiting = bool(streams.masks[name].rest)
            due = waiting and (name not in streams.open or overdue)
            if due and (text := streams.give(name)):
                self._line(name, text)

    def _tell_end(self, code: int) -> None:
        """Write down how the tool ended, and say it last."""
        after = f" after: {self.stopped}" if self.stopped else ""
        self.note(f"ended with code {code}{after}")
        told = None if self.spec["left"] else code
        masked = self.redactor.masked
        self.say(
            {"ended": True, "code": told, "stopped": self.stopped, "masked": masked}
        )

    def _line(self, stream: str, text: str) -> None:
        self._write(text)
        self.say({"line": text, "stream": stream, "at": time.time()})

    def _order(self, order: dict[str, Any], clock: float) -> None:
        if secret := order.get("secret"):
            self.redactor.learn(secret)
        why = order.get("stop", "")
        self.orphaned = self.orphaned or why == ORPHANED
        if why and not self.stopped:
            self.stopped = why
            self.note(f"stopping: {why}")
            self.next_at = clock
            self.grace_at = clock + float(self.spec["policy"]["grace_s"])
        if order.get("hurry"):
            self.grace_at = min(self.grace_at, clock)

    def _press(self, clock: float) -> None:
        """Send the next signal of the policy when its time has come."""
        if clock >= self.next_at and self.steps:
            name, wait = self.steps.pop(0)
            self.note(f"{name} sent")
            self.next_at = clock + wait
            number = getattr(signal, name)
            with contextlib.suppress(ProcessLookupError):
                if self.spec["policy"]["group"]:
                    os.killpg(self.process.pid, number)
                else:
                    self.process.send_signal(number)
        if clock >= self.grace_at and not self.late:
            self.grace_at, self.late = float("inf"), True
            left = f"pid {self.process.pid} {Path(self.spec['argv'][0]).name}"
            self.note(f"still finishing: {left}")
            self.say({"finishing": [left], "stopped": self.stopped})
            # The run may be sealed now: what follows goes into a file of its own.
            self._open_log(Path(self.spec["log"]).with_suffix(".after.log"))


class ToolOutput:
    """The tool's two streams, masked and cut into lines; unfinished ones are held."""

    def __init__(self, redactor: Redactor) -> None:
        self.masks = {name: StreamMask(redactor) for name in ("stdout", "stderr")}
        # A letter may be cut in two by the pipe as well.
        self._letters = {
            name: codecs.getincrementaldecoder("utf-8")("replace")
            for name in self.masks
        }
        self.fed = dict.fromkeys(self.masks, 0.0)
        self.open = set(self.masks)

    def cut(self, name: str, got: bytes, clock: float) -> list[str]:
        """Return the lines that are whole with what a stream gave; nothing ends it."""
        if not got:
            self.open.discard(name)
        self.fed[name] = clock
        text = self._letters[name].decode(got, final=not got)
        whole = self.masks[name].feed(text.replace("\r\n", "\n"))
        return whole.split("\n")[:-1]

    def give(self, name: str) -> str:
        """Return a stream's unfinished line, without what may begin a secret."""
        mask = self.masks[name]
        return mask.flush() if name in self.open else mask.close()


def _aside(work: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=work, args=args, daemon=True).start()


def main() -> int:
    """Read the command and supervise it."""
    # Only an order or the end of our pipe stops the tool, no Ctrl-C meant for others.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # SIG_IGN would be inherited by the tool
    spec = json.loads(sys.stdin.buffer.readline())
    keeper = Supervisor(spec, sys.stdout.buffer)
    signal.signal(
        signal.SIGTERM, lambda *_: keeper.box.put(("order", {"stop": "SIGTERM"}))
    )
    signal.signal(
        signal.SIGUSR1,
        lambda *_: keeper.box.put(("order", {"stop": "the run ends", "hurry": True})),
    )
    code = keeper.run()  # every message was flushed as it was said
    if keeper.orphaned or keeper.late:
        # Nobody waits for us: what we leave is entered in the archive, and a run that
        # has nobody else is closed.
        run = Path(spec["log"]).parent.parent
        module = [sys.executable, "-P", "-m", "olrunbook.archive.dead", str(run)]
        os.execv(sys.executable, module)
    # A thread still reads our standard input; a normal exit would wait for its lock.
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
