"""The process that keeps the stand-in providers ready: imports and models, once.

A plugin (`plugin.py`) connects, says which provider it wants and what its environment
is, and gets the port of a provider and gRPC server of its own. They end when the
connection closes, calls in flight first. What they start has the plugin's environment,
never this process's. Standard input closes when the rehearsal's process is gone, and
ends all of it: the cloud it would call is gone, too.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from ast import literal_eval
from pathlib import Path

from olrunbook.rehearsal.providers.light import light_pulumi


def start(file: Path) -> subprocess.Popen[bytes]:
    """Start the host as a child; plugins can connect when this returns.

    Args:
        file: Its socket, in a private folder; no such file is there yet.

    """
    folder = os.open(file.parent, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            # Through the folder's handle: the path may be too long for a socket's.
            listening.bind(f"/proc/self/fd/{folder}/{file.name}")
            file.chmod(0o600)
            listening.listen()
            number = listening.fileno()
            return subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(number)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[number],
            )
    finally:
        os.close(folder)


def main(number: int) -> None:
    """Serve the listening socket of this number until standard input closes."""
    light_pulumi()
    listening = socket.socket(fileno=number)
    threading.Thread(target=_accept, args=(listening,), daemon=True).start()
    sys.stdin.buffer.read()
    os._exit(0)


def _accept(listening: socket.socket) -> None:
    while True:
        plugin, _ = listening.accept()
        threading.Thread(target=_attend, args=(plugin,), daemon=True).start()


def _attend(plugin: socket.socket) -> None:
    # Only now, so that a rehearsal without a deploy does not wait for it
    from olrunbook.rehearsal.providers import serve, servicer  # noqa: PLC0415

    with plugin, plugin.makefile("rb") as said:
        name, given = literal_eval(said.readline().decode())
        environment = {os.fsdecode(key): os.fsdecode(at) for key, at in given.items()}
        provider = servicer.Provider(serve.package(name, environment))
        server, port = serve.serve(provider)
        try:
            plugin.sendall(str(port).encode())
            said.read()
        finally:
            server.stop(serve.GRACE_S).wait()
            provider.Cancel(None, None)  # nobody waits for what still waits


if __name__ == "__main__":
    main(int(sys.argv[1]))
