"""The Pulumi CLI, made safe to interrupt. Used by the worker only, never in a kernel.

The CLI gets a session of its own and writes to files: when whoever started it dies, it
meets no broken pipe and finishes by itself. It is asked to stop once; a second SIGINT
would make the engine drop the calls in flight, and what they made would be in nobody's
state.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pulumi.automation import CommandResult, PulumiCommand
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

POLL_S = 0.05
DEAF_S = 5.0  # how long the CLI may take to its first event before it is asked
LineSink = Callable[[str], object]


class StoppedError(Exception):
    """The CLI was asked to stop before it was started."""


class SafeCommand(PulumiCommand):
    """Runs the CLI on PATH for the Automation API; FileNotFoundError: there is none.

    Where its version is not given, it is asked.
    """

    def __init__(self, scratch: Path, version: str = "") -> None:
        found = shutil.which("pulumi")
        if found is None:
            msg = "pulumi is not on PATH"
            raise FileNotFoundError(msg)
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._count = itertools.count(1)
        self._asked = False
        self.heard = threading.Event()  # the engine works, so it hears a signal
        if version:
            self.version = VersionInfo.parse(version)
        else:
            super().__init__()  # asks `pulumi` on PATH
        self.command = found

    def asked(self) -> bool:
        """Whether it was asked to stop."""
        return self._asked

    def stop(self) -> None:
        """Ask the CLI to stop, once: it finishes its calls in flight, drops its lock.

        Before its engine works the CLI has the lock, and no handler for signals: one
        would end it at once, and the lock would stay. So it is asked after the first
        event. May be called from a signal handler. Nothing is started afterwards.
        """
        if self.asked():
            return
        self._asked = True
        if self._process:
            self._ask_soon(self._process)

    def _ask_soon(self, process: subprocess.Popen[bytes]) -> None:
        threading.Thread(target=self._ask, args=(process,), daemon=True).start()

    def _ask(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + DEAF_S
        while not self.heard.wait(POLL_S) and time.monotonic() < end:
            if process.poll() is not None:
                return
        if process.poll() is None:
            process.send_signal(signal.SIGINT)

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: LineSink | None = None,
        on_error: LineSink | None = None,
        *,
        given: str | None = None,
    ) -> CommandResult:
        """Run the CLI to its end, however long that takes.

        `given` is text for standard input: for secrets, which argv would show.

        Raises:
            StoppedError: It was asked to stop before it was started.
            CommandError: It ended with another code than 0.

        """
        if self.asked():
            raise StoppedError
        arguments = [self.command, "--non-interactive", *args]
        env = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        number = next(self._count)
        files = [self._scratch / f"cli-{number}.{name}" for name in ("out", "err")]
        with files[0].open("wb") as out, files[1].open("wb") as err:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )
        self._process = process
        if self.asked():  # asked between the check and the start
            self._ask_soon(process)
        if given is not None:
            assert process.stdin is not None
            process.stdin.write(given.encode())
            process.stdin.close()
        texts: list[list[str]] = [[], []]
        readers = [
            threading.Thread(target=_follow, args=(process, *of), daemon=True)
            for of in zip(files, texts, (on_output, on_error), strict=True)
        ]
        for thread in readers:
            thread.start()
        code = process.wait()
        for thread in readers:
            thread.join()
        for file in files:
            file.unlink(missing_ok=True)
        result = CommandResult("\n".join(texts[0]), "\n".join(texts[1]), code)
        if code:
            raise create_command_error(result)
        return result


def _follow(
    process: subprocess.Popen[bytes], file: Path, text: list[str], sink: LineSink | None
) -> None:
    """Hand on the lines of a file that grows until the process has ended."""
    rest = ""
    with file.open(encoding="utf-8", errors="replace") as source:
        while True:
            over = process.poll() is not None
            got = source.read()
            *lines, rest = (rest + got).split("\n")
            if over and not got and rest:
                lines, rest = [rest], ""
            for line in lines:
                text.append(line.rstrip())
                if sink:
                    sink(line.rstrip())
            if over and not got:
                return
            if not got:
                time.sleep(POLL_S)
