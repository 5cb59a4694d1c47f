"""Start, watch and stop one IPython kernel over Unix sockets: no race for a port."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from ast import literal_eval
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olrunbook.archive.dead import SCRATCH
from olrunbook.errors import OlrunbookError
from olrunbook.processes.handout import LONGEST, socket_folder
from olrunbook.processes.system import killed_for_memory

if TYPE_CHECKING:
    from jupyter_client.blocking.client import BlockingKernelClient

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
READY_S = 90.0
AGAIN_S = 10.0  # a kernel that boots is asked again: the first question may be lost
LOOK_MS = 200  # how soon the end of a kernel that boots is seen
ANSWER_S = 5.0  # for a question between cells; one may have left the kernel busy
LAST_ERROR = "type(__import__('sys').last_value).__module__"
# In the kernel: what a record says of threads that still work.
THREADS = """(lambda of: chr(10).join(of.unheard(of.still_working())))(
__import__("olrunbook.processes.threads", fromlist=["threads"]))"""


class KernelError(OlrunbookError):
    """The kernel did not start."""

    exit_code = 5


class Kernel:
    """A kernel process, started at once so that imports can go on while it boots.

    It gets `env` besides the caller's environment.
    """

    def __init__(self, cwd: Path, env: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=SCRATCH))
        long = len(str(self.folder.parent)) >= LONGEST
        self.sockets = socket_folder(SCRATCH) if long else self.folder
        self.connection = self.folder / "kernel.json"
        self.language_info: dict[str, Any] = {}
        # What the kernel tells us beside its outputs: secrets it learned, progress.
        self.told, telling = os.pipe()
        os.set_blocking(self.told, False)
        info: dict[str, Any] = {f"{name}_port": n for n, name in enumerate(CHANNELS, 1)}
        info |= {
            "transport": "ipc",
            "ip": str(self.sockets / "k"),
            "key": secrets.token_hex(16),
            "signature_scheme": "hmac-sha256",
        }
        self.connection.touch(mode=0o600)
        self.connection.write_text(json.dumps(info))
        self.stderr = (self.folder / "stderr").open("w+b")
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", str(self.connection)]
        argv += ["--HistoryManager.enabled=False"]
        own = {
            "JPY_PARENT_PID": str(os.getpid()),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "OLRUNBOOK_TELL_FD": str(telling),
            "OLRUNBOOK_WORK": str(self.folder / "work"),
        }
        # A shell has background jobs ignore SIGINT: such a kernel could not be told.
        main = threading.current_thread() is threading.main_thread()
        if ignored := main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        self.process = subprocess.Popen(
            argv,
            cwd=cwd,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.stderr,
            pass_fds=[telling],
            env={**os.environ, **own, **env},
        )
        os.close(telling)
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.look_at_memory()

    def client(self) -> BlockingKernelClient:
        """Connect; return when the kernel answers and its output channel is joined.

        Raises:
            KernelError: It ended or did not answer in time.

        """
        from jupyter_client.blocking.client import BlockingKernelClient  # noqa: PLC0415

        client = BlockingKernelClient(connection_file=str(self.connection))
        client.load_connection_file()
        client.start_channels(hb=False, stdin=False)
        try:
            self._wait_ready(client)
        except BaseException:
            client.stop_channels()
            client.context.destroy(linger=0)
            raise
        return client

    def _wait_ready(self, client: BlockingKernelClient) -> None:
        import zmq  # noqa: PLC0415  (heavy, as the client)

        client.allow_stdin = False
        deadline = time.monotonic() + READY_S
        poller = zmq.Poller()
        for channel in (client.shell_channel, client.iopub_channel):
            poller.register(channel.socket, zmq.POLLIN)
        asked, ready, joined = -AGAIN_S, False, False
        # jupyter_client's own wait flushes messages with waits of 0.2 s; this does not.
        while not (ready and joined):
            if self.process.poll() is not None:
                msg = f"the kernel ended before it was ready: {self.last_words()}"
                raise KernelError(msg)
            now = time.monotonic()
            if now > deadline:
                what = "its outputs were not heard" if ready else "it did not answer"
                msg = f"the kernel is not ready: {what} within {READY_S:.0f} s"
                raise KernelError(msg)
            if now - asked >= AGAIN_S:  # the socket keeps it until the kernel is there
                client.kernel_info()
                asked = now
            poller.poll(LOOK_MS)
            while client.shell_channel.msg_ready():
                content = client.shell_channel.get_msg(timeout=0)["content"]
                self.language_info = content.get("language_info", {})
                ready = True
            while client.iopub_channel.msg_ready():
                # It greets whoever joins; what it says from then on is heard, and
                # whoever hears anything has joined.
                client.iopub_channel.get_msg(timeout=0)
                joined = True

    def raised_ours(self, client: BlockingKernelClient) -> bool:
        """Ask the kernel whether the error that ended the cell is one of our own.

        Its reply has only the name of the class, and IPython has a UsageError, too.
        """
        return self._told(client, LAST_ERROR) == repr(OlrunbookError.__module__)

    def _told(self, client: BlockingKernelClient, expression: str) -> str:
        """Ask for an expression's value, silently; empty: the kernel did not answer."""
        deadline = time.monotonic() + ANSWER_S
        asked = ""
        while self.process.poll() is None and time.monotonic() < deadline:
            ask = {"told": expression}
            asked = asked or client.execute("", silent=True, user_expressions=ask)
            if not client.shell_channel.socket.poll(100):
                continue
            reply = client.shell_channel.get_msg(timeout=0)
            if reply["parent_header"].get("msg_id") != asked:
                continue
            if reply["content"]["status"] == "ok":
                told = reply["content"]["user_expressions"]["told"]
                return str(told.get("data", {}).get("text/plain", ""))
            asked = ""  # dropped with what waited behind the failed cell
        return ""

    def hear(self) -> list[dict[str, Any]]:
        """Return what the kernel told us beside its outputs since the last call."""
        got = b""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.told, 1 << 16):
                got += chunk
                if len(chunk) < 1 << 16 and got.endswith(b"\n"):
                    break
        return [json.loads(line) for line in got.splitlines() if line.endswith(b"}")]

    def still_working(self, client: BlockingKernelClient) -> list[str]:
        """Ask an idle kernel which threads of its cells still work, in sentences."""
        with contextlib.suppress(ValueError, SyntaxError):  # shown by others
            return str(literal_eval(self._told(client, THREADS) or "''")).splitlines()
        return []

    def last_words(self) -> str:
        """Return the last line the kernel wrote on standard error."""
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").strip().splitlines()
        code = self.process.poll()
        how = f"code {code}"
        if code and code < 0:
            how = f"signal {signal.Signals(-code).name}"
        return f"{how}{': ' + lines[-1] if lines else ''}"

    def interrupt(self) -> None:
        """Send SIGINT to the kernel: tools run under supervisors of their own."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def stop(self, grace_s: float) -> None:
        """End the kernel: TERM, wait, KILL. Tools end by their supervisors."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(grace_s)
                except subprocess.TimeoutExpired:
                    continue
        self.process.wait()
        self.stderr.close()
        os.close(self.told)

    def look_at_memory(self) -> None:
        """Take note of how often the system has killed something for its memory."""
        self._killed_before = killed_for_memory()

    def how_it_died(self) -> str:
        """Return its signal or code and last line, and whether memory was short."""
        words = self.last_words()
        killed = self.process.poll() == -signal.SIGKILL
        if killed and killed_for_memory() > self._killed_before:
            words += "; out of memory: the system has just killed a process for it"
        return words

    def clean(self) -> None:
        """Remove the kernel's folder with what its run worked in."""
        for folder in {self.folder, self.sockets}:
            shutil.rmtree(folder, ignore_errors=True)
