"""Hand a tool what a command says, by a private socket: credentials that are renewed.

What is handed out is in the memory of this process and of the tool that asks for it: in
no file, no environment and no argument.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

CHAIN = "OLRUNBOOK_CHAIN"  # in an environment: the command, as JSON
SOCKET = "OLRUNBOOK_CREDENTIALS"  # … and where a tool asks for what it says
TIMEOUT_S = 60
LONGEST = 50  # characters of a temporary folder that leaves enough
SECRETS = ("SecretAccessKey", "SessionToken")
OFTEN, MOST = timedelta(seconds=1), timedelta(hours=1)
EARLY = timedelta(seconds=30)


class Chain:
    """Runs the command for as long as what it said last is fresh.

    Args:
        command: Its arguments; it prints JSON as AWS's `credential_process` does.
        env: Its whole environment.
        learn: Is told each secret value, before it is handed out.

    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        learn: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._command, self._env, self._learn = list(command), dict(env), learn
        self._lock, self._said = threading.Lock(), b""
        # until when it is not asked again, and until when what it said holds
        self._until = self._holds = datetime.min.replace(tzinfo=UTC)

    def ask(self) -> bytes:
        """Return the JSON; with a field `error` where there is none to be had.

        A third of its life before it expires it is asked for anew; where that fails,
        what is there is used to its end.
        """
        with self._lock:
            began = datetime.now(UTC)
            if began < self._until:
                return self._said
            said, self._until = self._run(), began + OFTEN
            found = json.loads(said)
            if "error" in found and began < self._holds:
                return self._said
            self._said = said
            for name in SECRETS:
                if value := found.get(name):
                    self._learn(value)
            if "error" not in found:
                life, self._holds = MOST, began + MOST
                if expires := found.get("Expiration"):
                    end = datetime.fromisoformat(expires)
                    left = end.replace(tzinfo=end.tzinfo or UTC) - began
                    life = min(life, left)
                    # A request that is signed in the last moment would come too late.
                    self._holds = began + left - min(left / 10, EARLY)
                    found["Expiration"] = self._holds.isoformat()
                    self._said = json.dumps(found).encode()
                self._until = began + life * 2 / 3
            return self._said

    def _run(self) -> bytes:
        try:
            done = subprocess.run(
                self._command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT_S,
                start_new_session=True,  # nobody is there to be asked for a code
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return _error(f"{type(error).__name__} of its command")
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            return _error(lines[-1] if lines else f"exit code {done.returncode}")
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            return _error("what it says is not JSON")
        return json.dumps(answer).encode()


def _error(text: str) -> bytes:
    return json.dumps({"error": text}).encode()


class Handout(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers on a socket that only this user can reach.

    The socket is there at once, so that no thread need run before a tool is forked;
    `start` begins to answer.
    """

    daemon_threads = True

    def __init__(self, path: str, chain: Chain) -> None:
        self.chain = chain
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()  # of a supervisor that was killed
        super().__init__(path, _Answer)

    def start(self) -> None:
        """Answer from now on, in a thread."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self) -> None:
        """Remove the socket and its folder."""
        shutil.rmtree(Path(str(self.server_address)).parent, ignore_errors=True)


class _Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Handout)
        with contextlib.suppress(OSError):
            self.wfile.write(self.server.chain.ask())


def needed(env: Mapping[str, str]) -> list[str] | None:
    """Return the command that an environment names; None: its tool needs none."""
    return json.loads(env[CHAIN]) if CHAIN in env else None


def socket_folder(prefix: str) -> Path:
    """Return a new folder of this user alone in which a socket's path is not too long.

    It has about a hundred bytes; some temporary folders leave too few of them.
    """
    short, usual = "/tmp", tempfile.gettempdir()  # noqa: S108
    long = len(usual) >= LONGEST and os.access(short, os.W_OK)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=short if long else usual))


def new_socket() -> str:
    """Return the path of a socket to be, in a new folder of this user alone."""
    return str(socket_folder("olrunbook-ask-") / "s")


@contextlib.contextmanager
def handing_out(
    env: Mapping[str, str], learn: Callable[[str], object] = lambda _: None
) -> Iterator[dict[str, str]]:
    """Return a tool's environment; while it is in use, its credentials are handed out.

    For a tool that this process starts and waits for; others have a supervisor.
    """
    command, plain = needed(env), {k: v for k, v in env.items() if k != CHAIN}
    if command is None:
        yield plain
        return
    handout = Handout(new_socket(), Chain(command, os.environ, learn))
    try:
        handout.start()
        yield {**plain, SOCKET: str(handout.server_address)}
    finally:
        handout.shutdown()
        handout.end()
