"""Which process is the cloud: written by it, verified by whoever reads it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import BaseModel

from olrunbook.record.files import write_atomic
from olrunbook.rehearsal.settings import Settings

SAME_START_S = 0.5  # the kernel counts in clock ticks


class DaemonRecord(BaseModel, frozen=True, extra="forbid"):
    """The background process of a cloud."""

    pid: int  # its process id
    # when that process began, as the kernel says (epoch seconds): a process id alone
    # may belong to another one by now
    process_started: float
    cloud_id: str  # id of the incarnation
    block: int  # its addresses, 127.B.0.0/16
    endpoint: str  # URL of the AWS API
    settings: Settings  # how it behaves
    started_at: datetime  # when it was started (UTC)

    @classmethod
    def of_this_process(
        cls, *, cloud_id: str, block: int, endpoint: str, settings: Settings
    ) -> DaemonRecord:
        """Return the record of the calling process."""
        return cls(
            pid=os.getpid(),
            process_started=psutil.Process().create_time(),
            cloud_id=cloud_id,
            block=block,
            endpoint=endpoint,
            settings=settings,
            started_at=datetime.now(UTC),
        )

    def write(self, file: Path) -> None:
        """Write it whole, for its owner alone."""
        write_atomic(file, self.model_dump_json(indent=1), 0o600)

    def process(self) -> psutil.Process | None:
        """Return the process if it still is the one that wrote the record."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.process_started) > SAME_START_S:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.Error:
            return None
        return process


def read_record(file: Path) -> DaemonRecord | None:
    """Return the record in a file; None where there is none that can be read."""
    try:
        return DaemonRecord.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None
