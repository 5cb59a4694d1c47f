"""What the Pulumi engine starts: asks the rehearsal's host for a provider, and stays.

`python -I -S plugin.py SOCKET NAME`, for the standard library alone, and little of it,
is there in a blink. The host ends the provider when the connection closes. Where no
host answers, this process becomes the provider itself.
"""

from __future__ import annotations

import os
import signal
import sys
from _socket import AF_UNIX, SHUT_WR, socket  # `socket` itself takes as long as Python

ANSWER_S = 30.0


def main(file: str, name: str) -> int:
    """Print the provider's port; return when the engine or the provider is gone."""
    engine = os.getppid()
    host = socket(AF_UNIX)
    host.settimeout(ANSWER_S)
    folder, _, last = file.rpartition("/")
    try:
        # Through the folder's handle: the path itself may be too long for a socket's.
        host.connect(f"/proc/self/fd/{os.open(folder, os.O_PATH)}/{last}")
        host.sendall(f"{(name, dict(os.environb))!r}\n".encode())
        port = int(host.recv(16))
    except (OSError, ValueError):
        itself = ["-P", "-m", "olrunbook.rehearsal.providers", name]
        os.execv(sys.executable, [sys.executable, *itself])
    told = []

    def end(number: int, _: object) -> None:
        told.append(number)
        host.shutdown(SHUT_WR)  # the host answers when calls in flight have ended

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    print(port, flush=True)  # noqa: T201  (the protocol: the engine reads it)
    host.settimeout(1)
    while os.getppid() == engine:
        try:
            if not host.recv(1):
                return 0 if told else 1
        except TimeoutError:
            continue
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
