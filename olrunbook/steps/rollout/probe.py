"""The availability probe: one request again and again while an update runs.

Each request has a connection of its own, so that it is balanced afresh, and is noted
the moment it ends, so that the samples outlive whoever made them.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from olrunbook.adapters.http import Answer, ask
from olrunbook.errors import OlrunbookError
from olrunbook.project.catalog import ProbeSpec
from olrunbook.steps.rollout.samples import Sample

# Names an existing file of samples, made by whoever runs the notebook.
SAMPLES_VARIABLE = "OLRUNBOOK_PROBE"
TIMEOUT_S = 2.0
FIND_EVERY_S = 1.0
MAX_WORKERS = 64
ERRORS_FROM = 400


class Probe:
    """Repeats an app's request from `with` to the end of it.

    `find` returns the stage's address; empty while there is none. It is asked every
    second until it knows one. The samples are appended to a file, a line of JSON each.
    """

    def __init__(
        self,
        find: Callable[[], str],
        spec: ProbeSpec,
        path: Path,
        *,
        ask_one: Callable[..., Answer] = ask,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.path = path
        self._find, self._spec = find, spec
        self._ask, self._timeout_s = ask_one, timeout_s
        # As many as can be under way at once if nobody answers; more are not started.
        workers = min(math.ceil(timeout_s / spec.interval_s) + 2, MAX_WORKERS)
        self._free = threading.BoundedSemaphore(workers)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="probe")
        self._stopping = threading.Event()
        self._writing = threading.Lock()
        self._clock = threading.Thread(target=self._run, name="probe", daemon=True)

    def __enter__(self) -> Self:
        """Begin; returns at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send nothing more, and wait for the answers that are still under way."""
        self._stopping.set()
        self._clock.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        url = self._address()
        due = time.monotonic()
        while url and not self._stopping.is_set():
            if self._free.acquire(blocking=False):
                self._pool.submit(self._one, url + self._spec.path)
            due = max(due + self._spec.interval_s, time.monotonic())
            self._stopping.wait(due - time.monotonic())

    def _address(self) -> str:
        """Return the stage's address as soon as there is one; empty: stopped before."""
        while not self._stopping.is_set():
            try:
                url = self._find()
            except OlrunbookError:
                url = ""  # the account does not answer now; it is asked again
            if url:
                return url.rstrip("/")
            self._stopping.wait(FIND_EVERY_S)
        return ""

    def _one(self, url: str) -> None:
        try:
            at = datetime.now(UTC)
            answer = self._ask(url, timeout_s=self._timeout_s)
            error = self._wrong(answer)
            sample = Sample(
                at=at,
                ok=not error,
                seconds=round(answer.seconds, 4),
                status=answer.status,
                error=error,
                target=answer.target,
            )
            line = sample.model_dump_json(exclude_defaults=True) + "\n"
            with self._writing, self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        finally:
            self._free.release()

    def _wrong(self, answer: Answer) -> str:
        if not answer.status:
            return answer.error
        if answer.status >= ERRORS_FROM:
            return str(answer.status)
        return "" if self._spec.expect in answer.body else "another answer"
