"""The one background process of a rehearsal: `python -m olrunbook.rehearsal.daemon`.

Standard input carries the commission (JSON, with the keys: never an argument, never the
environment). Standard output carries one JSON line, `{"ready": record}` or
`{"error": …, "hint": …}`; then it is let go, and everything later goes to the log.
SIGTERM ends it: machines, balancers and stand-ins with it.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from olrunbook.errors import OlrunbookError
from olrunbook.rehearsal.order import Commission
from olrunbook.rehearsal.places import API_PORT, CONSUL_PORT, VAULT_PORT, Block, Places
from olrunbook.rehearsal.record import DaemonRecord, read_record
from olrunbook.rehearsal.signals import log

LOOK_S = 2.0

# Read by moto when it is imported.
MOTO = {
    "MOTO_DISABLE_GLOBAL_CORS": "1",
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    "MOTO_ACM_VALIDATION_WAIT": "1",
    # boto's metadata look-ups and the like have no business here
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def main() -> int:
    """Read the commission, leave the caller, be the cloud until SIGTERM."""
    commission = Commission.model_validate_json(sys.stdin.buffer.read())
    if os.fork():
        os._exit(0)  # the child belongs to init: no caller ever has to wait for it
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # SIG_IGN would be inherited by docker
    places = Places(commission.checkout, commission.root)
    _log_to(places.log_file)
    try:
        cloud = _begin(commission, places)
    except OlrunbookError as error:
        _say({"error": str(error), "hint": error.hint})
        return 1
    except Exception as error:  # noqa: BLE001  (whoever waits must be told)
        import traceback  # noqa: PLC0415  (here only)

        where = traceback.format_exc(limit=-2).strip()
        log(where)
        _say({"error": f"{type(error).__name__}: {error}", "hint": where})
        return 1
    lost = False
    if _say({"ready": True}):
        _let_go()
        lost = not _wait(stop, places)
    cloud.end(images=lost)
    sys.stderr.flush()
    os._exit(0)  # tearing moto's modules down would take a second, for nothing


def _wait(stop: threading.Event, places: Places) -> bool:
    """Wait until told to stop; False: our state was taken away, nobody finds us."""
    missed = 0
    while not stop.wait(LOOK_S):
        record = read_record(places.daemon_file)
        missed = 0 if record and record.pid == os.getpid() else missed + 1
        if missed > 1:
            log("the state folder is gone: ending")
            return False
    return True


def _begin(commission: Commission, places: Places) -> Any:
    """Take a block of addresses, write the record, start the cloud."""
    block, listening = take_block(commission.blocks)
    record = DaemonRecord.of_this_process(
        cloud_id=commission.order.cloud_id,
        block=block.number,
        endpoint=block.endpoint,
        settings=commission.order.settings,
    )
    record.write(places.daemon_file)
    os.environ.update(MOTO)
    from olrunbook.rehearsal.cloud import Cloud  # noqa: PLC0415  (after moto's settings)

    cloud = Cloud(commission.order, places, block, listening)
    cloud.start()
    return cloud


def take_block(numbers: Iterable[int]) -> tuple[Block, socket.socket]:
    """Return the first block whose addresses are free, with the API's listening socket.

    Raises:
        OlrunbookError: One of the ports is taken on each of them.

    """
    taken: set[int] = set()
    for number in numbers:
        block = Block(number)
        try:
            listening = socket.create_server((block.api_host, API_PORT))
        except OSError as error:
            _must_be_taken(error)
            taken.add(API_PORT)
            continue
        for port in (VAULT_PORT, CONSUL_PORT):
            try:
                socket.create_server((block.api_host, port)).close()
            except OSError as error:
                listening.close()
                _must_be_taken(error)
                taken.add(port)
                break
        else:
            return block, listening
    ports = ", ".join(str(port) for port in sorted(taken))
    msg = f"port {ports} is taken on every loopback address the rehearsal may use"
    hint = "A program listens there on all addresses; `ss -ltnp` names it."
    raise OlrunbookError(msg, hint)


def _must_be_taken(error: OSError) -> None:
    if error.errno != errno.EADDRINUSE:
        raise error


def _say(message: dict[str, Any]) -> bool:
    """Tell the caller; False: it is gone."""
    try:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        log("whoever started this is gone")
        return False
    return True


def _log_to(file: Path) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(handle, sys.stderr.fileno())
    os.close(handle)


def _let_go() -> None:
    """Close the pipe to the caller; what prints from now on goes to the log."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
