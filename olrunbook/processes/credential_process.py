"""Print what is handed out by a socket: the `credential_process` of an AWS config.

`python -I -S credential_process.py`: the standard library alone, so that it starts in a
blink, in whatever environment a tool has.
"""

import json
import os
import socket
import sys


def main() -> int:
    """Print the credentials; 1: there are none, and why is on standard error."""
    with socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(os.environ["OLRUNBOOK_CREDENTIALS"])
        except (KeyError, OSError):
            print("olrunbook: nobody hands out credentials here", file=sys.stderr)  # noqa: T201
            return 1
        with asked.makefile("rb") as source:
            found = json.loads(source.read() or b'{"error": "no answer"}')
    if error := found.get("error"):
        print(f"olrunbook: no credentials: {error}", file=sys.stderr)  # noqa: T201
        return 1
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
