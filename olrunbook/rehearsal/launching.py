"""Start the background process and wait until it serves."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time

import psutil

from olrunbook.adapters.docker.command import environment
from olrunbook.errors import OlrunbookError
from olrunbook.rehearsal.order import Commission, Order
from olrunbook.rehearsal.places import Places
from olrunbook.rehearsal.record import DaemonRecord, read_record

READY_S = 60.0
END_S = 30.0
KILL_S = 5.0
LOG_TAIL = 400


def launch(places: Places, order: Order, blocks: list[int]) -> DaemonRecord:
    """Start the daemon, detached from the caller, and return its record.

    Raises:
        OlrunbookError: It could not start; with its own words.

    """
    commission = Commission(
        checkout=places.checkout, root=places.root, blocks=blocks, order=order
    )
    process = subprocess.Popen(
        # -P: a folder of the user's must not shadow modules of ours
        [sys.executable, "-P", "-m", "olrunbook.rehearsal.daemon"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",  # it must not hold the caller's folder
        start_new_session=True,
        env={**environment(), "PYTHONUNBUFFERED": "1", **_python()},
    )
    try:
        said = _converse(process, commission.model_dump_json().encode())
    except BaseException:  # also Ctrl-C: what was started is ended again
        if record := read_record(places.daemon_file):
            end_daemon(record)
        raise
    if "error" in said:
        msg = f"the rehearsal could not start: {said['error']}"
        raise OlrunbookError(msg, said["hint"])
    record = read_record(places.daemon_file)
    if record is None:
        msg = "the rehearsal could not start: its process wrote no record"
        raise OlrunbookError(msg, f"Read its log: {places.log_file}")
    return record


def end_daemon(record: DaemonRecord) -> bool:
    """End the daemon: ask, wait for its clean-up, then by force; False: it is gone."""
    process = record.process()
    if process is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGTERM)
        if not _gone(record, END_S):
            process.kill()
            _gone(record, KILL_S)
    return True


def _gone(record: DaemonRecord, timeout_s: float) -> bool:
    """Wait until the process is gone; one that init has yet to reap is gone."""
    end = time.monotonic() + timeout_s
    while record.process() is not None:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _python() -> dict[str, str]:
    names = (
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPYCACHEPREFIX",
        "VIRTUAL_ENV",
        "HOME",
        "USER",
    )
    return {name: os.environ[name] for name in names if name in os.environ}


def _converse(process: subprocess.Popen[bytes], commission: bytes) -> dict[str, str]:
    """Hand the commission over and return the answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdin, process.stdout, process.stderr:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(commission)
            process.stdin.close()
        answer, end = b"", time.monotonic() + READY_S
        while b"\n" not in answer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                process.kill()
                msg = f"the rehearsal was not ready within {READY_S:g} s"
                raise OlrunbookError(msg, "The machine may be busy; try again.")
            got = os.read(process.stdout.fileno(), 1 << 16)
            if not got:
                words = (
                    process.stderr.read().decode(errors="replace")[-LOG_TAIL:].strip()
                )
                return {"error": words or "its process ended at once", "hint": ""}
            answer += got
        process.wait()  # the forked child lives on; this one has left at once
    found: dict[str, str] = json.loads(answer.partition(b"\n")[0])
    return found
