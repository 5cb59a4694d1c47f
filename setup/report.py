"""One line a step: its name, what is done and why, where it is, how it ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

COLOURS = {
    "done": "\033[32m",
    "failed": "\033[31m",
    "found": "\033[2m",
    "skipped": "\033[2m",
}
PLAIN = "\033[0m"
REDRAW_S = 0.5  # on a terminal
HEARTBEAT_S = 60.0  # in a file, where a line cannot be drawn again
QUIET_S = 4.0  # a shorter step is not announced in a file
BAR = 10
KEEP_LOGS = 10
INTERRUPT_S = 20.0


class SetupError(Exception):
    """A step cannot go on.

    Args:
        message: What happened.
        hint: What the reader can do.
        code: Exit code of the whole set-up; 2 where nothing was begun.

    """

    def __init__(self, message: str, hint: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.hint, self.code = hint, code


def clock(seconds: float) -> str:
    """Return a duration as a person reads it: `9 s`, `3:25`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"


class Step:
    """A step that is running.

    Args:
        name: What is made ready.
        log: Where the full output of its commands goes.

    """

    def __init__(self, name: str, log: TextIO) -> None:
        self.name, self.log = name, log
        self.what = ""
        self.expected_s = 0.0
        self.fraction: float | None = None
        self.began = time.monotonic()
        self.ending: tuple[str, str] | None = None
        self.changed = threading.Event()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.began

    def doing(
        self, what: str, expected_s: float = 0.0, fraction: float | None = None
    ) -> None:
        """Say what is done now, and how long the step takes as a rule."""
        self.what, self.fraction = what, fraction
        self.expected_s = expected_s or self.expected_s
        self.changed.set()

    def done(self, what: str) -> None:
        """Something was done, and what is there now."""
        self.ending = ("done", what)

    def found(self, what: str) -> None:
        """It was there already."""
        self.ending = ("found", what)

    def skipped(self, why: str) -> None:
        """It is not needed here."""
        self.ending = ("skipped", why)

    def run(
        self,
        argv: Sequence[str],
        hint: str = "",
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        line: Callable[[str], None] | None = None,
    ) -> None:
        """Run a command; all it says goes to the log.

        Args:
            argv: Program and arguments.
            hint: What to do when it fails.
            env: Its whole environment; None: ours.
            cwd: Its folder.
            line: Called with each line it says.

        Raises:
            SetupError: It cannot be started or fails; with the end of what it said.

        """
        self.log.write(f"\n$ {' '.join(argv)}\n")
        said: list[str] = []
        try:
            with subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=env,
                cwd=cwd,
            ) as process:
                assert process.stdout is not None
                try:
                    for text in process.stdout:
                        self.log.write(text)
                        self.log.flush()
                        if text.strip():
                            said = [*said[-4:], text.rstrip()]
                        if line:
                            line(text.rstrip())
                except KeyboardInterrupt:
                    process.wait(INTERRUPT_S)  # it heard it too, and cleans up
                    raise
        except OSError as error:
            msg = f"{argv[0]} cannot be started: {error.strerror}"
            raise SetupError(msg, hint) from None
        if process.returncode:
            tail = "\n      ".join(["", *said])
            msg = f"`{' '.join(argv)[:120]}` ended with {process.returncode}:{tail}"
            raise SetupError(msg, hint)


class Report:
    """Where the steps are told.

    Args:
        log: Where the full output of commands goes.
        out: Where the lines go.

    """

    def __init__(self, log: TextIO, out: TextIO | None = None) -> None:
        self.log = log
        self.out = out or sys.stdout
        self.live = self.out.isatty()
        self.colour = self.live and "NO_COLOR" not in os.environ

    def say(self, text: str) -> None:
        """Print a line of its own."""
        print(text, file=self.out, flush=True)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Tell one step; an error in it is told here and goes on up."""
        step = Step(name, self.log)
        over = threading.Event()
        teller = threading.Thread(target=self._tell, args=(step, over), daemon=True)
        teller.start()
        try:
            yield step
        except BaseException as error:
            first = (str(error) or "interrupted").splitlines()[0]
            step.ending = ("failed", first)
            raise
        finally:
            over.set()
            step.changed.set()
            teller.join()
            state, what = step.ending or ("done", step.what)
            self._line(step, state, what)

    def _tell(self, step: Step, over: threading.Event) -> None:
        """Show a running step: drawn again on a terminal, now and then in a file."""
        told_at = 0.0
        while not over.is_set():
            step.changed.wait(REDRAW_S)
            if not step.what or over.is_set():
                continue
            if self.live:
                step.changed.clear()
                self.out.write("\r" + self._fit(self._running(step)) + "\033[K")
                self.out.flush()
                over.wait(0.1)
            else:
                due = told_at + HEARTBEAT_S if told_at else QUIET_S
                if step.seconds >= due:
                    told_at = step.seconds
                    self.say(self._running(step))
                over.wait(REDRAW_S)

    def _running(self, step: Step) -> str:
        """Say where a step is; what may be cut off on a narrow terminal comes last."""
        passed = clock(step.seconds)
        if step.expected_s:
            passed += f" of about {clock(step.expected_s)}"
            if self.live:
                part = min(step.fraction or step.seconds / step.expected_s, 1.0)
                passed = f"{'█' * int(part * BAR):░<{BAR}}  {passed}"
        return f"  {step.name:<22} {'…':<8} {passed}  {step.what}"

    def _fit(self, text: str) -> str:
        return text[: max(shutil.get_terminal_size().columns - 1, 40)]

    def _line(self, step: Step, state: str, what: str) -> None:
        took = clock(step.seconds) if state in {"done", "failed"} else ""
        word = f"{state:<8}"
        if self.colour:
            word = COLOURS[state] + word + PLAIN
        start = "\r\033[K" if self.live else ""
        self.say(f"{start}  {step.name:<22} {word} {took:>6}  {what}")


def open_log(folder: Path) -> TextIO:
    """Open a log for this set-up; of older ones the newest are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("setup-*.log"))[: -KEEP_LOGS + 1]:
        old.unlink(missing_ok=True)
    stamp = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    path = folder / f"setup-{stamp}-{os.getpid()}.log"
    return path.open("w", encoding="utf-8")
